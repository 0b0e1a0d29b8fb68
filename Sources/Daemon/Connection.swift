import EventLoop
import Primitives
import TLS

/// One socket of the engine's: 40 bytes, and no buffer while nothing is in flight.
struct Connection {
    /// -1 while a name is being looked up, and when nobody lives here.
    var descriptor: Int32 = -1
    /// Of the link that lives here; even when nobody does.
    var generation: UInt32 = 0
    /// Received and not consumed.
    var kept: Block?
    /// To be sent when the kernel takes more.
    var owed: Block?
    /// While its bytes are encrypted.
    var stream: TLSStream?
    var flags: Flags = []
    /// With a ring: how often in a row it looked as if the other way to read would be better.
    var doubts: UInt8 = 0
    /// The ring's batch that mentioned it last.
    var batch: UInt32 = 0

    struct Flags: OptionSet {
        let rawValue: UInt16
        /// The engine wants nothing of it for now.
        static let paused = Flags(rawValue: 1)
        /// The poller does not watch for input: something came while paused.
        static let disarmed = Flags(rawValue: 2)
        /// The poller watches for room to write.
        static let writing = Flags(rawValue: 4)
        /// A server that is not connected yet.
        static let opening = Flags(rawValue: 8)
        /// A re-offer waits in line.
        static let offering = Flags(rawValue: 16)
        /// Writing has failed and the end waits in line: output is thrown away.
        static let broken = Flags(rawValue: 32)
        /// A paused server's end has been noticed; it is told of when reading goes on.
        static let endSeen = Flags(rawValue: 64)
        /// The poller has been told to forget it, because a broken connection is reported again and again.
        static let forgotten = Flags(rawValue: 128)
        /// Its bytes are encrypted: `stream` is there, or was to be and is not.
        static let secured = Flags(rawValue: 256)
        /// The TLS handshake goes on. What is kept is encrypted.
        static let shakingHands = Flags(rawValue: 512)
        /// The ring receives from it, or soon will.
        static let armed = Flags(rawValue: 1024)
        /// The ring has been told to stop that.
        static let cancelling = Flags(rawValue: 2048)
        /// With a ring: the poller watches it.
        static let watched = Flags(rawValue: 4096)
        /// With a ring: so much comes from it that reading when the poller tells is cheaper.
        static let bulky = Flags(rawValue: 8192)
        /// Nothing can be written to it.
        static let speechless = Flags(rawValue: 32 + 8)
        /// Reading it, and writing to it, is more than a system call.
        static let readsOddly = Flags(rawValue: 256 + 1)
        static let writesOddly = Flags(rawValue: 256 + 32 + 8)

        @inline(__always)
        func meets(_ other: Flags) -> Bool { rawValue & other.rawValue != 0 }
    }

    /// What the poller has to watch for.
    var interest: Interest {
        if flags.contains(.opening) { return .writable }
        var interest: Interest = flags.contains(.endSeen) ? [] : .peerGone
        if !flags.contains(.disarmed) { interest.insert(.readable) }
        if flags.contains(.writing) { interest.insert(.writable) }
        return interest
    }
}

extension Connection {
    /// What the poller has to watch for where the ring receives.
    var rareInterest: Interest {
        if flags.contains(.opening) { return .writable }
        if flags.contains(.bulky), !flags.contains(.armed) { return interest }
        var interest: Interest = flags.contains(.writing) ? .writable : Interest(rawValue: 0)
        if flags.contains(.disarmed), !flags.contains(.endSeen) { interest.insert(.peerGone) }
        return interest
    }
}

/// Connections by the slot of their link. They never move; memory comes in chunks and stays.
struct ConnectionTable: ~Copyable {
    private static var chunkBits: UInt32 { 8 }
    /// As many as a `SlotTable` has.
    private static var slotLimit: UInt32 { 1 << 20 }
    private let chunks: UnsafeMutablePointer<UnsafeMutablePointer<Connection>>
    private var covered: UInt32 = 0

    init() { chunks = .allocate(capacity: Int(Self.slotLimit >> Self.chunkBits)) }

    deinit {
        for chunk in 0..<Int(covered >> Self.chunkBits) { chunks[chunk].deallocate() }
        chunks.deallocate()
    }

    /// Where this link lives; `nil` when its handle is dead.
    @inline(__always)
    func find(_ handle: Handle) -> UnsafeMutablePointer<Connection>? {
        guard handle.slot < covered, handle.generation & 1 == 1 else { return nil }
        let place = place(handle.slot)
        return place.pointee.generation == handle.generation ? place : nil
    }

    /// Makes a home for a new link.
    mutating func settle(_ handle: Handle) -> UnsafeMutablePointer<Connection> {
        precondition(handle.slot < Self.slotLimit, "a handle beyond every table")
        while handle.slot >= covered {
            let size = 1 << Int(Self.chunkBits)
            let chunk = UnsafeMutablePointer<Connection>.allocate(capacity: size)
            chunk.initialize(repeating: Connection(), count: size)
            (chunks + Int(covered >> Self.chunkBits)).initialize(to: chunk)
            covered += UInt32(size)
        }
        let place = place(handle.slot)
        precondition(place.pointee.generation & 1 == 0, "two links in one slot")
        place.pointee = Connection(generation: handle.generation)
        return place
    }

    @inline(__always)
    private func place(_ slot: UInt32) -> UnsafeMutablePointer<Connection> {
        chunks[Int(slot >> Self.chunkBits)] + Int(slot & (1 << Self.chunkBits - 1))
    }
}
