import CLinux
import EventLoop
import Primitives
import Session

/// The process that holds the listening sockets and the pidfile, and starts the one that does the work:
/// again, when it crashes. It has one thread, no configuration and nothing that could fail with it.
///
/// The process that has read the configuration and opened the sockets becomes this one by executing its own
/// program anew (`Post`), so that nothing it has needed for that is left; and every process that works is
/// executed anew from here, and reads the configuration for itself.
struct Supervisor: ~Copyable {
    /// The pause before the second start in a row that did not last, and the longest one; each is twice the
    /// one before.
    private static let firstPause = TimeSpan.milliseconds(100)
    private static let longestPause = TimeSpan.seconds(10)
    /// A process that has lived this long was no failure: the next one is started at once again.
    private static let provenSpan = TimeSpan.seconds(10)
    /// Longest news of the process that is passed on, in bytes.
    private static let newsBytes = 4096

    private let post: Post
    private let signals: Socket
    /// Where the process tells how it is.
    private let ear: Socket
    private let mouth: Socket
    private var child: Int32 = 0
    private var startedAt = Instant.zero
    private var pause = TimeSpan.zero
    /// When the next one is started; `nil` while one is there.
    private var startAt: Instant?
    /// The process has said that it is up; and one has, ever.
    private var isUp = false
    private var hasBeenUp = false
    /// The end was asked for: nothing is started any more.
    private var isEnding = false

    init(_ post: consuming Post) {
        var ends: [Int32] = [-1, -1]
        _ = linux_datagram_pair(&ends)
        ear = Socket(owning: ends[0])
        mouth = Socket(owning: ends[1])
        signals = Socket(owning: Int32(truncatingIfNeeded: linux_supervisor_signalfd()))
        self.post = post
        _ = linux_forbid_privileges()
        _ = linux_forbid_dumps()
    }

    /// The exit status: the one the last process ended with.
    mutating func run() -> Int32 {
        guard ear.descriptor >= 0, signals.descriptor >= 0 else { return end(1, "no descriptors") }
        _ = linux_share_with_children(mouth.descriptor)
        Environment.set(ServiceManager.wayOn, to: ByteString("\(mouth.descriptor)"))
        post.leave(in: Supervised.variable)
        start()
        while true {
            wait()
            listen()
            if let status = takeSignals() { return status }
            if let startAt, MonotonicClock.now() >= startAt { start() }
        }
    }

    private func wait() {
        var milliseconds: Int32 = -1
        if let startAt {
            let left = startAt.since(MonotonicClock.now()).wholeMicroseconds
            milliseconds = Int32(clamping: left / 1000 + 1)
        }
        linux_wait_for_either(signals.descriptor, ear.descriptor, milliseconds)
    }

    // MARK: Starting

    private mutating func start() {
        startAt = nil
        isUp = false
        startedAt = MonotonicClock.now()
        let result = linux_start_self(linux_words())
        child = Int32(truncatingIfNeeded: max(0, result))
        guard result < 0 else { return }
        post.log(
            .error, "supervisor: fork failed: \(errorText(Int32(truncatingIfNeeded: -result)).lossyText)")
        startLater()
    }

    private mutating func startLater() {
        startAt = MonotonicClock.now() + pause
        pause = pause.isZero ? Self.firstPause : min(pause.doubled, Self.longestPause)
    }

    // MARK: What the process says

    private mutating func listen() {
        let room = UnsafeMutableRawPointer.allocate(byteCount: Self.newsBytes, alignment: 1)
        defer { room.deallocate() }
        while case .moved(let count) = Stream.receive(ear.descriptor, into: room, Self.newsBytes) {
            let news = ByteString(ByteView(base: room, count: count))
            if news == Supervised.stopping {
                isEnding = true
                for listener in post.listeners where !listener.isUnix { listener.close() }
                continue
            }
            if news == "READY=1\n", !isUp { noteUp() }
            ServiceManager.tell(news, directly: true)
        }
    }

    private mutating func noteUp() {
        isUp = true
        guard hasBeenUp else {
            hasBeenUp = true
            return
        }
        let span = MonotonicClock.now().since(startedAt).wholeMicroseconds / 1000
        post.log(.log, "supervisor: process \(child) is up after \(span) ms")
    }

    // MARK: Signals

    /// The exit status, if this is the end.
    private mutating func takeSignals() -> Int32? {
        while true {
            let letter = linux_next_supervisor_signal(signals.descriptor)
            if letter == 0 { return nil }
            if letter == Int32(UInt8(ascii: "C")) {
                if let status = reap() { return status }
            } else if child != 0 {
                let endings = "TIQ".utf8.map { Int32($0) }
                if endings.contains(letter) { isEnding = true }
                linux_send_signal(child, letter)
            } else if letter == Int32(UInt8(ascii: "H")) {
                startAt = MonotonicClock.now()
            } else if "TIQ".utf8.contains(where: { Int32($0) == letter }) {
                return end(0, "supervisor: asked to end while no process was running")
            }
        }
    }

    /// Looks what has become of the process.
    private mutating func reap() -> Int32? {
        var signal: Int32 = 0
        var status: Int32 = 0
        guard child != 0, linux_reap(child, &signal, &status) != 0 else { return nil }
        // It may have said something before.
        listen()
        let ended = child
        child = 0
        let lived = MonotonicClock.now().since(startedAt)
        if signal == 0, status == 0 { return end(0, nil) }
        let how =
            signal != 0
            ? "was ended by SIG\(String(cString: linux_signal_name(signal)))" : "ended with status \(status)"
        let what =
            "supervisor: process \(ended) \(how)"
            + (isUp ? " after \(lived.wholeSeconds) s" : " before it was up")
        if isEnding || !hasBeenUp { return end(signal != 0 ? 128 &+ signal : status, what) }
        if lived >= Self.provenSpan { pause = .zero }
        let next = pause.isZero ? "at once" : "in \(pause.wholeMicroseconds / 1000) ms"
        post.log(.error, "\(what); the next one is started \(next), its clients wait at the open sockets")
        startLater()
        return nil
    }

    private func end(_ status: Int32, _ why: String?) -> Int32 {
        if let why { post.log(status == 0 ? .log : .fatal, why) }
        for listener in post.listeners {
            listener.close()
            if !listener.path.isEmpty { _ = listener.path.withCString { linux_unlink($0) } }
        }
        Pidfile(path: post.pidFile).remove()
        return status
    }
}

extension TimeSpan {
    fileprivate var doubled: TimeSpan { TimeSpan(nanoseconds: nanoseconds &* 2) }
}
