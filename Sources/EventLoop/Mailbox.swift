import CLinux

/// The only object that threads share: messages from any worker to one, in the order they were put in, and a
/// bell that its poller watches.
///
/// The lock is held for as long as it takes to copy a few words, and only when there is a letter.
package final class Mailbox<Message: Sendable>: @unchecked Sendable {
    // Unchecked because of `messages`, which is only touched with the lock held.
    private let lock: UnsafeMutableRawPointer
    private var messages: [Message] = []
    private let bell: Socket
    /// More messages than this are not taken; whoever puts them keeps them and tries again.
    package static var limit: Int { 16 * 1024 }

    /// `nil` when the kernel refuses.
    package init?() {
        guard let bell = Socket(result: linux_eventfd()), let lock = linux_mutex_create() else { return nil }
        self.bell = bell
        self.lock = lock
    }

    deinit { linux_mutex_destroy(lock) }

    /// Readable while there is something to take.
    package var descriptor: Int32 { bell.descriptor }

    /// Puts messages in as far as there is room; the number taken, from the front.
    package func put(_ more: [Message]) -> Int {
        linux_mutex_lock(lock)
        let wasEmpty = messages.isEmpty
        let count = min(more.count, Self.limit - messages.count)
        messages.append(contentsOf: more.prefix(count))
        linux_mutex_unlock(lock)
        if wasEmpty, count > 0 { linux_ring(bell.descriptor) }
        return count
    }

    /// Everything there is.
    package func take() -> [Message] {
        linux_hush(bell.descriptor)
        linux_mutex_lock(lock)
        defer { linux_mutex_unlock(lock) }
        let all = messages
        messages = []
        return all
    }
}
