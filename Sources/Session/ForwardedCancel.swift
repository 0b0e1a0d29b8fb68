public import Primitives

/// A cancel request on its way to the peer whose client it means.
public final class ForwardedCancel {
    /// Number of the peer, from 1.
    public let peer: UInt16
    /// Process and the first four bytes of the secret, as the peer is to read them.
    public let key: UInt64
    /// `nil` once nobody waits for the end of it.
    public var asker: ClientID?

    public init(peer: UInt16, key: UInt64, asker: ClientID) {
        self.peer = peer
        self.key = key
        self.asker = asker
    }
}
