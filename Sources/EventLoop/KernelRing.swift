package import CLinux
package import Primitives

/// The other way to wait and to move bytes: an io_uring. Connected sockets are received from until further
/// notice, into buffers that all share; what is to be sent is gathered here and leaves with the next wait, so
/// that one system call serves every link that had something.
///
/// Everything else is watched by a `Poller`, whose own descriptor the ring watches.
package struct KernelRing: ~Copyable {
    /// What is sent at once leaves with a system call of its own when it is larger than this.
    package static var smallBytes: Int { 4 * 1024 }
    /// Sends that leave together at most, so that nobody waits for a long turn.
    private static var sendLimit: Int { 64 }
    private static var gatheredBytes: Int { 64 * 1024 }
    package static var requests: UInt32 { 256 }
    package static var completions: UInt32 { 1024 }
    /// Buffers to receive into, and their size.
    private static var buffers: UInt32 { 128 }
    /// What is larger arrives in several; it is what most of a transaction's messages fit in.
    package static var bufferBytes: Int { 4 * 1024 }

    /// Bit 32 is clear in all of these, so that no link's word is among them.
    private static var sendBits: UInt64 { 9 << 60 }
    private static var pollBits: UInt64 { 8 << 60 }
    private static var cancelBits: UInt64 { 10 << 60 }
    private static var kindMask: UInt64 { 15 << 60 | 1 << 32 }

    /// A send that was noted and may fail.
    private struct Send {
        var word: UInt64
        var offset: Int
        var count: Int
    }

    private let uring: OpaquePointer?
    private let requests: UInt32
    private let gathered: UnsafeMutableRawPointer
    private var gatheredCount = 0
    private let sends: UnsafeMutablePointer<Send>
    private var sendCount = 0
    /// Which batch of requests is being gathered; whoever is mentioned in it notes its number.
    package private(set) var batch: UInt32 = 1

    /// Completions that had to make way for those the kernel had no room for; they come first.
    private var stash: [linux_completion] = []
    private var stashNext = 0

    /// Why there is none, though one was wanted; 0 when there is one, or none was wanted.
    package let error: Int32

    /// Is off when none is wanted, or the kernel gives none. Linux 6.1 and later can; containers often must
    /// not.
    package init(wanted: Bool, requests: UInt32 = Self.requests, completions: UInt32 = Self.completions) {
        var result = 0
        self.requests = requests
        uring =
            wanted
            ? linux_uring_create(requests, completions, Self.buffers, UInt32(Self.bufferBytes), &result)
            : nil
        error = Int32(truncatingIfNeeded: -result)
        gathered = .allocate(byteCount: uring == nil ? 0 : Self.gatheredBytes, alignment: 64)
        sends = .allocate(capacity: uring == nil ? 0 : Self.sendLimit)
    }

    deinit {
        linux_uring_destroy(uring)
        gathered.deallocate()
        sends.deallocate()
    }

    @inline(__always)
    package var isOn: Bool { uring != nil }

    /// From here on the ring is the calling thread's. 0 or a negated errno.
    package mutating func start() -> Int {
        isStarted = true
        return linux_uring_start(uring)
    }
    package private(set) var isStarted = false

    // MARK: Requests

    /// One more request can be noted.
    @inline(__always)
    package var hasRoom: Bool { linux_uring_room(uring) > 0 }

    /// Whether so many bytes more can be sent in this batch.
    @inline(__always)
    package func takes(_ count: Int) -> Bool {
        sendCount < Self.sendLimit && gatheredCount &+ count <= Self.gatheredBytes && hasRoom
    }

    /// Whether the last request is a send to this link.
    @inline(__always)
    package func endsWithSend(to word: UInt64, takes count: Int) -> Bool {
        sendCount > 0 && lastIsSend && sends[sendCount &- 1].word == word
            && gatheredCount &+ count <= Self.gatheredBytes
    }
    private var lastIsSend = false

    @inline(__always)
    private mutating func gather(_ pieces: UnsafePointer<linux_piece>, _ count: Int) {
        for index in 0..<count {
            (gathered + gatheredCount).copyMemory(from: pieces[index].base, byteCount: pieces[index].count)
            gatheredCount &+= pieces[index].count
        }
    }

    /// Copies these pieces, to be sent when the batch leaves.
    @inline(__always)
    package mutating func send(
        _ descriptor: Int32, _ pieces: UnsafePointer<linux_piece>, _ count: Int, bytes: Int, word: UInt64
    ) {
        (sends + sendCount).initialize(to: Send(word: word, offset: gatheredCount, count: bytes))
        linux_uring_send(
            uring, descriptor, gathered + gatheredCount, UInt32(truncatingIfNeeded: bytes),
            Self.sendBits | UInt64(truncatingIfNeeded: sendCount))
        sendCount &+= 1
        lastIsSend = true
        gather(pieces, count)
    }

    /// Copies these pieces behind those of the last send.
    package mutating func lengthen(_ pieces: UnsafePointer<linux_piece>, _ count: Int, bytes: Int) {
        linux_uring_lengthen(uring, UInt32(truncatingIfNeeded: bytes))
        sends[sendCount &- 1].count &+= bytes
        gather(pieces, count)
    }

    /// Receives until it is cancelled, fails or ends.
    package mutating func receive(_ descriptor: Int32, word: UInt64) {
        lastIsSend = false
        linux_uring_receive(uring, descriptor, word)
    }

    /// Ends what `receive` began.
    package mutating func cancel(word: UInt64) {
        lastIsSend = false
        linux_uring_cancel(uring, word, Self.cancelBits)
    }

    /// Tells once when something in this set is ready.
    package mutating func watch(_ poller: borrowing Poller) {
        lastIsSend = false
        linux_uring_poll(uring, poller.descriptor, Self.pollBits)
    }

    // MARK: Waiting

    /// Hands what has been noted to the kernel and sleeps until something is done or the time is over; `nil`
    /// sleeps for ever.
    ///
    /// Never rename this function: profiles subtract the time spent in it by name.
    @inline(never)
    package func blockingWaitForCompletions(_ longest: TimeSpan?) {
        let waits: Int32 = longest.map { $0.nanoseconds <= 0 } == true || stashNext < stash.count ? 0 : 1
        _ = linux_uring_enter(uring, waits, longest?.nanoseconds ?? -1)
    }

    /// Hands everything noted to the kernel, and does not wait.
    package mutating func submit() {
        var result = 0
        for _ in 0..<1000 {
            result = linux_uring_enter(uring, 0, 0)
            if linux_uring_room(uring) == requests { return }
            // Some kernels take nothing while they have things to tell.
            if linux_uring_overflows(uring) != 0 { takeOverflow() }
        }
        preconditionFailure("the kernel takes no requests: error \(-result)")
    }

    /// Whether everything that was noted has left.
    package var isSubmitted: Bool { linux_uring_room(uring) == requests }

    /// A send that did not go through: to whom, how much of it was taken or a negated errno, and all of it.
    package mutating func takeFailure() -> (word: UInt64, result: Int, bytes: ByteView)? {
        guard sendCount > 0 else { return nil }
        // What the kernel has no room to tell may be a failure: it must be known before the bytes are gone.
        if linux_uring_overflows(uring) != 0 { takeOverflow() }
        guard let found = extract(Self.kindMask, Self.sendBits) else { return nil }
        let index = Int(found.word & 0xFFFF)
        precondition(index < sendCount, "a send completed that was never made")
        let send = sends[index]
        return (send.word, Int(found.result), ByteView(base: gathered + send.offset, count: send.count))
    }

    /// The batch has left, and its failures have been taken.
    package mutating func beginBatch() {
        gatheredCount = 0
        sendCount = 0
        lastIsSend = false
        batch &+= 1
    }

    // MARK: Completions

    @inline(__always)
    package var ready: Int { stash.count &- stashNext &+ Int(linux_uring_ready(uring)) }

    @inline(__always)
    package mutating func take() -> linux_completion {
        stashNext == stash.count ? linux_uring_take(uring) : takeStashed()
    }

    @inline(never)
    private mutating func takeStashed() -> linux_completion {
        let next = stash[stashNext]
        stashNext += 1
        if stashNext == stash.count {
            stash = []
            stashNext = 0
        }
        return next
    }

    /// The next completion for this word, whatever stands before it.
    package mutating func takeCompletion(of word: UInt64) -> linux_completion? { extract(.max, word) }

    private mutating func extract(_ mask: UInt64, _ bits: UInt64) -> linux_completion? {
        if let place = stash[stashNext...].firstIndex(where: { $0.word & mask == bits }) {
            defer { stash[place] = linux_completion() }
            return stash[place]
        }
        var found = linux_completion()
        return linux_uring_extract(uring, mask, bits, &found) != 0 ? found : nil
    }

    /// Takes what is there, until the kernel has told everything that it had no room for.
    @inline(never)
    private mutating func takeOverflow() {
        repeat {
            while linux_uring_ready(uring) > 0 { stash.append(linux_uring_take(uring)) }
            _ = linux_uring_enter(uring, 0, 0)
        } while linux_uring_overflows(uring) != 0
    }

    @inline(__always)
    package static func isPoll(_ word: UInt64) -> Bool { word == pollBits }

    @inline(__always)
    package func bytes(_ buffer: Int32, _ count: Int32) -> ByteView {
        ByteView(base: linux_uring_bytes(uring, buffer), count: Int(count))
    }

    @inline(__always)
    package func giveBack(_ buffer: Int32) { linux_uring_give_back(uring, buffer) }
}
