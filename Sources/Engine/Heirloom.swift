import Auth
public import Primitives

/// One row of SHOW FDS: a session on its way to the process that takes over, or what several of them need.
///
/// The columns are PgBouncer's; `state` is what it has no column for, and only we can read it.
public struct Heirloom: Sendable {
    public enum Task: Sendable {
        case client, server
        /// What a pool's new clients are greeted with. Without a socket.
        case pool
        /// A prepared statement and its name on the servers. Without a socket.
        case prepared
    }

    public var task: Task
    /// Whose socket goes with it; `nil` for what has none, and in the process that takes over.
    public var link: LinkID?
    /// As whom it is logged in, and the name of its database; `nil` before its login.
    public var user: ByteString?
    public var database: ByteString?
    /// The other end of its socket.
    public var address = SocketAddress(family: .unix)
    /// Cancel key: process and four bytes of secret.
    public var key: UInt64 = 0
    /// The other end of the pair; `nil` in the process that takes over, which knows it by its number.
    public var partner: LinkID?
    public var isPaired = false
    public var clientEncoding: ByteString?
    public var standardStrings: ByteString?
    public var dateStyle: ByteString?
    public var timeZone: ByteString?
    /// Of users that only auth_query knows.
    public var password: ByteString?
    /// What its servers log in with; both or neither.
    public var clientKey: ByteString?
    public var serverKey: ByteString?
    /// Empty when the receiver cannot read it.
    public var state: ByteString = ""

    public init(_ task: Task) { self.task = task }

    var keys: ScramKeys? {
        get {
            guard let clientKey, let serverKey else { return nil }
            return ScramKeys(clientKey: clientKey, serverKey: serverKey)
        }
        set {
            clientKey = newValue?.bytes.clientKey
            serverKey = newValue?.bytes.serverKey
        }
    }

    /// Whom the process that takes over logs in to the console as, and what makes it tell `state`, too.
    public static let applicationName: ByteString = "pglido takeover"
}

/// Numbers and byte strings, one behind the other.
struct StateWriter {
    private(set) var bytes: [UInt8] = []
    /// Changes with every change of what is written: another version's state is not read.
    static let version: UInt64 = 1

    init() { add(Self.version) }

    mutating func add(_ number: UInt64) {
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: number >> (56 - UInt64(shift) * 8))) }
    }
    mutating func add(_ number: Int) { add(UInt64(bitPattern: Int64(number))) }
    mutating func add(_ number: UInt32) { add(UInt64(number)) }
    mutating func add(_ flag: Bool) { add(flag ? UInt64(1) : 0) }
    mutating func add(_ instant: Instant) { add(instant.nanoseconds) }
    mutating func add(_ text: ByteString) {
        add(text.count)
        bytes += text.bytes
    }
    mutating func add(_ text: ByteString?) {
        add(text != nil)
        if let text { add(text) }
    }
    mutating func add(_ pairs: [(name: ByteString, value: ByteString)]) {
        add(pairs.count)
        for (name, value) in pairs {
            add(name)
            add(value)
        }
    }
    mutating func add(_ address: SocketAddress) {
        add(UInt64(address.family.rawValue))
        add(address.high)
        add(address.low)
        add(UInt64(address.port))
        add(Int(address.processID))
        add(address.userID)
    }
    mutating func add(_ address: SocketAddress?) {
        add(address != nil)
        if let address { add(address) }
    }
}

/// Reads what a `StateWriter` wrote. Whatever is broken reads as zero or empty, and `isWhole` tells at the
/// end.
struct StateReader {
    private let bytes: [UInt8]
    private var offset = 0
    private var isBroken = false

    /// `nil` for what another version wrote, or nobody.
    init?(_ state: ByteString) {
        bytes = state.bytes
        guard number() == StateWriter.version else { return nil }
    }

    /// Everything was there, and nothing else.
    var isWhole: Bool { !isBroken && offset == bytes.count }

    mutating func number() -> UInt64 {
        guard bytes.count &- offset >= 8 else {
            isBroken = true
            return 0
        }
        var number: UInt64 = 0
        for place in 0..<8 { number = number << 8 | UInt64(bytes[offset &+ place]) }
        offset &+= 8
        return number
    }
    mutating func int() -> Int { Int(Int64(bitPattern: number())) }
    mutating func uint32() -> UInt32 { UInt32(truncatingIfNeeded: number()) }
    mutating func uint8() -> UInt8 { UInt8(truncatingIfNeeded: number()) }
    mutating func flag() -> Bool { number() != 0 }
    mutating func instant() -> Instant { Instant(nanoseconds: number()) }
    /// How many of something follow; each has at least eight bytes.
    mutating func count() -> Int {
        let count = int()
        guard count >= 0, count <= (bytes.count &- offset) / 8 else {
            isBroken = true
            return 0
        }
        return count
    }
    mutating func text() -> ByteString {
        let count = int()
        guard count >= 0, count <= bytes.count &- offset else {
            isBroken = true
            return ""
        }
        defer { offset &+= count }
        return ByteString(Array(bytes[offset..<offset &+ count]))
    }
    mutating func optionalText() -> ByteString? { flag() ? text() : nil }
    mutating func pairs() -> [(name: ByteString, value: ByteString)] {
        (0..<count()).map { _ in (name: text(), value: text()) }
    }
    mutating func address() -> SocketAddress {
        let family = SocketAddress.Family(rawValue: uint8())
        if family == nil { isBroken = true }
        return SocketAddress(
            family: family ?? .unix, high: number(), low: number(),
            port: UInt16(truncatingIfNeeded: number()),
            processID: Int32(truncatingIfNeeded: int()), userID: uint32())
    }
    mutating func optionalAddress() -> SocketAddress? { flag() ? address() : nil }
}
