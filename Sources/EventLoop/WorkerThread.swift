import CLinux

/// A thread that runs one thing to its end.
package final class WorkerThread: Sendable {
    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private let thread: UInt64

    /// `name` has at most 15 bytes. `nil` when the kernel gives no thread.
    package init?(name: String, _ body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(body))
        var thread: UInt64 = 0
        // Not in a closure of the main actor: it would trap on any other thread.
        let begin: @convention(c) @Sendable (UnsafeMutableRawPointer?) -> Void = { context in
            guard let context else { return }
            Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body()
        }
        guard linux_thread_start(&thread, name, begin, start.toOpaque()) == 0 else {
            start.release()
            return nil
        }
        self.thread = thread
    }

    /// Waits for its end.
    package func join() { linux_thread_join(thread) }
}

package enum Processors {
    /// How many this process may use.
    package static var count: Int { max(1, Int(linux_processors())) }
    /// What the calling thread has used of them.
    package static var threadNanoseconds: UInt64 { linux_thread_nanoseconds() }
}
