public import Primitives

/// What the driver has learned of host names, for the console to show.
public struct NameReport: Equatable, Sendable {
    public struct Host: Equatable, Sendable {
        public let name: ByteString
        /// From then on it is looked up again when it is needed.
        public let expires: Instant
        /// None when the look-up failed.
        public let addresses: [SocketAddress]

        public init(name: ByteString, expires: Instant, addresses: [SocketAddress]) {
            self.name = name
            self.expires = expires
            self.addresses = addresses
        }
    }

    public struct Zone: Equatable, Sendable {
        public let name: ByteString
        /// `nil` while it is not known.
        public let serial: Int64?
        public let hosts: Int

        public init(name: ByteString, serial: Int64?, hosts: Int) {
            self.name = name
            self.serial = serial
            self.hosts = hosts
        }
    }

    /// Sorted by name.
    public var hosts: [Host] = []
    /// Sorted by name.
    public var zones: [Zone] = []
    /// Look-ups under way.
    public var queries = 0

    public init() {}
}

/// A name that leads elsewhere than it did.
public struct MovedHost: Equatable, Sendable {
    public let name: ByteString
    /// Never empty: a look-up that fails moves nothing.
    public let addresses: [SocketAddress]

    public init(name: ByteString, addresses: [SocketAddress]) {
        self.name = name
        self.addresses = addresses
    }
}
