import CLinux
import Engine
import EventLoop
import Primitives
import Session

/// The sockets on which clients arrive.
struct Listeners: ~Copyable {
    struct Listener {
        /// -1 when closed for good.
        var descriptor: Int32
        var isUnix: Bool
        /// File to remove with it; empty for none.
        var path: ByteString = ""

        /// For a process that inherits the descriptor.
        var word: ByteString {
            ByteString("\(descriptor) \(isUnix ? "u" : "t") ").appending(path)
        }

        func close() { _ = linux_close(descriptor) }
    }

    /// Seconds a connection may stay silent before we hear of it; PgBouncer's number.
    static var deferSeconds: Int32 { 45 }

    private var all: [Listener] = []
    /// A descriptor kept in reserve, so that there is one when there are none.
    private var reserve = Socket(result: linux_open_reserve())
    /// When accepting goes on; `nil` when it is going on.
    private(set) var resumeAt: Instant?

    init() {}

    deinit {
        for listener in all where listener.descriptor >= 0 { _ = linux_close(listener.descriptor) }
    }

    var isEmpty: Bool { all.isEmpty }
    var count: Int { all.count }

    /// As words for a process that is to have them, which inherits the descriptors.
    func passOn() -> [ByteString] {
        all.filter { $0.descriptor >= 0 }.map { listener in
            _ = linux_share_with_children(listener.descriptor)
            return listener.word
        }
    }

    mutating func add(_ listener: Listener) { all.append(listener) }

    func descriptor(of place: Int) -> Int32? {
        guard place < all.count, all[place].descriptor >= 0, resumeAt == nil else { return nil }
        return all[place].descriptor
    }

    /// Whether the kernel tells of a client only when its first bytes are here.
    func deferAccept(_ isDeferred: Bool) {
        for listener in all where listener.descriptor >= 0 && !listener.isUnix {
            _ = linux_defer_accept(listener.descriptor, isDeferred ? Self.deferSeconds : 0)
        }
    }

    /// From here on clients are taken.
    func watch(_ poller: borrowing Poller) {
        for place in all.indices where all[place].descriptor >= 0 {
            poller.add(all[place].descriptor, .readable, word: EventWord.listener(place).word)
        }
    }

    /// Every socket that is open, with where it listens.
    var open: [(descriptor: Int32, isUnix: Bool, address: linux_address)] {
        all.filter { $0.descriptor >= 0 }.map { listener in
            var address = linux_address()
            _ = linux_local_address(listener.descriptor, &address)
            return (listener.descriptor, listener.isUnix, address)
        }
    }

    /// The sockets are another process's now: they and their files stay.
    mutating func letGo() {
        for place in all.indices { all[place].path = "" }
    }

    mutating func pause(_ poller: borrowing Poller, until instant: Instant) {
        resumeAt = instant
        for listener in all where listener.descriptor >= 0 { poller.remove(listener.descriptor) }
    }

    /// A descriptor has become free: accepting goes on soon, and with more than this one when others follow.
    mutating func descriptorIsFree(_ now: Instant) {
        // Whoever has handed the listeners on never goes on.
        guard let deadline = resumeAt, deadline != .never else { return }
        resumeAt = min(deadline, now + .milliseconds(20))
    }

    mutating func resume(_ poller: borrowing Poller) {
        resumeAt = nil
        watch(poller)
    }

    /// Closes listeners for good, and removes their files.
    mutating func stop(_ scope: ListenerScope) {
        // Whoever else holds them, for us, must close them, too.
        if scope == .tcp { Supervised.tellOfStopping() }
        for place in all.indices where all[place].descriptor >= 0 && (scope == .all || !all[place].isUnix) {
            _ = linux_close(all[place].descriptor)
            all[place].descriptor = -1
            if !all[place].path.isEmpty { _ = all[place].path.withCString { linux_unlink($0) } }
        }
    }

    /// Takes one client on the reserve and tells it why it has to go.
    mutating func refuseOne(_ descriptor: Int32) {
        reserve = nil
        var peer = linux_address()
        if let client = Socket(result: linux_accept(descriptor, &peer)) {
            var text = ByteBuffer(capacity: 128)
            text.append(0x45)
            text.append(uint32: 0)
            for field: StaticString in [
                "SFATAL", "C53300", "Mno more connections allowed (out of file descriptors)",
            ] {
                text.append(field)
                text.append(0)
            }
            text.append(0)
            text.set(uint32: UInt32(truncatingIfNeeded: text.count - 1), at: 1)
            let view = text.view
            _ = Stream.send(client.descriptor, view.base, view.count)
        }
        reserve = Socket(result: linux_open_reserve())
    }
}
