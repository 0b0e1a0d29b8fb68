public import Primitives

/// What the two ends of an encrypted link have agreed on, and who the other one is. Made by the driver when
/// the handshake is done; an object, so that a session without TLS has no room for it.
public final class Encryption: Equatable, Sendable {
    public let version: ByteString
    public let cipher: ByteString
    /// Of the key exchange; `nil` for none.
    public let group: ByteString?
    /// The common name of the peer's certificate, when an authority that we trust vouches for it.
    public let peerName: ByteString?
    public let hasPeerCertificate: Bool
    /// Digest of the server's certificate, for `tls-server-end-point` (RFC 5929); empty when it has none.
    public let endpointDigest: ByteString

    public init(
        version: ByteString, cipher: ByteString, group: ByteString? = nil, peerName: ByteString? = nil,
        hasPeerCertificate: Bool = false, endpointDigest: ByteString = ""
    ) {
        self.version = version
        self.cipher = cipher
        self.group = group
        self.peerName = peerName
        self.hasPeerCertificate = hasPeerCertificate
        self.endpointDigest = endpointDigest
    }

    /// What a SCRAM exchange over this link can be bound to.
    public var binding: ByteString? { endpointDigest.isEmpty ? nil : endpointDigest }

    /// As `SHOW CLIENTS` and the log have it.
    public var text: ByteString {
        let core = version.appending("/").appending(cipher)
        return group.map { core.appending("/ECDH=").appending($0) } ?? core
    }

    public static func == (a: Encryption, b: Encryption) -> Bool {
        a.version == b.version && a.cipher == b.cipher && a.group == b.group && a.peerName == b.peerName
            && a.hasPeerCertificate == b.hasPeerCertificate && a.endpointDigest == b.endpointDigest
    }
}
