public import Crypto
public import Primitives

/// The side of a SCRAM-SHA-256 exchange that proves it knows the password: we, towards a server.
///
/// The server must prove itself as well: until `verify` has said yes, nothing it says is to be believed.
public struct ScramProver: Sendable {
    private let nonce: ByteString
    private let clientFirstBare: ByteString
    private let binding: ScramBinding

    init(entropy: inout any Entropy, binding: ScramBinding) {
        self.init(nonce: freshNonce(&entropy), binding: binding)
    }

    /// With a nonce of the caller's; the user is in the start-up packet, so "n=" stays empty.
    public init(nonce: ByteString, user: ByteString = "", binding: ScramBinding = .none) {
        self.nonce = nonce
        self.binding = binding
        clientFirstBare = joined("n=", user, ",r=", nonce)
    }

    public var clientFirst: ByteString { joined(binding.header, clientFirstBare) }

    /// What a server-first-message asks for.
    public struct ServerFirst: Sendable {
        let nonce: ByteString
        let salt: ByteString
        /// 1...ScramLimits.iterations
        public let iterations: Int
        fileprivate let text: ByteString
    }

    /// `nil` when it is malformed, out of bounds, or does not continue our nonce.
    public func parse(serverFirst message: ByteView) -> ServerFirst? {
        var attributes = ScramAttributes(message)
        guard let nonce = attributes.next(named: 0x72), nonce.isScramNonce, nonce.count > self.nonce.count,
            self.nonce.equals(nonce.slice(0, self.nonce.count)),
            let salt = attributes.next(named: 0x73).flatMap({ Base64.decode($0) }), !salt.isEmpty,
            salt.count <= ScramLimits.serverSaltBytes,
            let iterations = attributes.next(named: 0x69)?.scramIterations(limit: ScramLimits.iterations),
            attributes.isAtEnd
        else { return nil }
        return ServerFirst(
            nonce: ByteString(nonce), salt: ByteString(salt), iterations: iterations,
            text: ByteString(message))
    }

    /// client-final-message, and the signature the server must answer with.
    public func answer(_ server: ServerFirst, keys: ScramKeys) -> (
        clientFinal: ByteString, signature: Digest256
    ) {
        let withoutProof = joined("c=", binding.text, ",r=", server.nonce)
        let authMessage = joined(clientFirstBare, ",", server.text, ",", withoutProof)
        let clientKey = keys.clientKey
        let proof = clientKey.xor(SHA256.hmac(key: SHA256.hash(clientKey), authMessage))
        let signature = SHA256.hmac(key: keys.serverKey, authMessage)
        return (joined(withoutProof, ",p=", proof.base64), signature)
    }

    /// Whether a server-final-message carries this signature; `nil` when it is malformed or an error ("e=").
    public static func verify(serverFinal message: ByteView, signature: Digest256) -> Bool? {
        var attributes = ScramAttributes(message)
        guard let value = attributes.next(named: 0x76), attributes.isAtEnd,
            let sent = Digest256(base64: value)
        else { return nil }
        return sent.equals(signature)
    }
}
