/// Where a server is. The driver resolves names.
public struct Endpoint: Hashable, Sendable {
    /// A host name, an IPv4 or IPv6 address, a directory (`/…`) or an abstract socket (`@…`).
    public var host: ByteString
    /// TCP port, and part of a unix socket's file name `.s.PGSQL.PORT`.
    public var port: UInt16
    public init(host: ByteString, port: UInt16) {
        self.host = host
        self.port = port
    }
    public var isUnix: Bool { host.bytes.first == 0x2F || host.bytes.first == 0x40 }
}

/// Where the other end of a socket is, and ours.
public struct SocketAddress: Hashable, Sendable {
    public enum Family: UInt8, Sendable { case unix, ipv4, ipv6 }
    public var family: Family
    /// 4 or 16 bytes used, network order; zero for unix sockets.
    public var high: UInt64
    public var low: UInt64
    public var port: UInt16
    /// Process and user of the peer, unix sockets only; 0 and `UInt32.max` otherwise.
    public var processID: Int32
    public var userID: UInt32
    public init(
        family: Family, high: UInt64 = 0, low: UInt64 = 0, port: UInt16 = 0, processID: Int32 = 0,
        userID: UInt32 = .max
    ) {
        self.family = family
        self.high = high
        self.low = low
        self.port = port
        self.processID = processID
        self.userID = userID
    }
}
