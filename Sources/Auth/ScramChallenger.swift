import Crypto
public import Primitives

/// The side of a SCRAM-SHA-256 exchange that asks for the proof (RFC 5802): we, towards a client.
///
/// It goes the whole way for every user. `doomed` only takes effect where the proof is checked, so that
/// nobody learns earlier, or from the shape of the exchange, that a user does not exist.
public struct ScramChallenger: Sendable {
    private enum Phase: Sendable {
        /// Nothing has come from the client. Leads to: challenged, finished.
        case new
        /// Our salt and nonce are out. Leads to: finished.
        case challenged(Challenge)
        case finished
    }

    private struct Challenge: Sendable {
        /// Base64 of the header the client began with, and of what it is bound to; it must repeat that.
        let channelBinding: ByteString
        let nonce: ByteString
        /// client-first-message-bare "," server-first-message ","
        let authMessageStart: ByteString
    }

    private let verifier: ScramVerifier
    private let doomed: ClientAuthFailure.Reason?
    private let binding: ByteString?
    private let isBound: Bool
    private var phase = Phase.new

    /// `doomed`: fail at the end for this reason, whatever the proof. `binding`: what the exchange could be
    /// bound to, and `isBound` whether the client has chosen that.
    public init(
        verifier: ScramVerifier, doomed: ClientAuthFailure.Reason?, binding: ByteString? = nil,
        isBound: Bool = false
    ) {
        self.verifier = verifier
        self.doomed = doomed
        self.binding = binding
        self.isBound = isBound
    }

    /// client-first-message in, server-first-message out. `ownNonce`: our half, fresh for every exchange.
    public mutating func first(
        _ message: ByteView, ownNonce: ByteString
    ) -> Result<ByteString, ScramRejection> {
        guard case .new = phase else { return .failure(.init(.outOfTurn)) }
        phase = .finished
        return ClientFirst.parse(message, binding, isBound: isBound).map { client in
            let nonce = ByteString(client.nonce.bytes + ownNonce.bytes)
            let serverFirst = serverFirst(nonce)
            phase = .challenged(
                Challenge(
                    channelBinding: client.channelBinding, nonce: nonce,
                    authMessageStart: joined(client.bare, ",", serverFirst, ",")))
            return serverFirst
        }
    }

    /// client-final-message in; server-final-message and the client's keys out.
    public mutating func final(_ message: ByteView) -> Result<(ByteString, ScramKeys), ScramRejection> {
        guard case .challenged(let challenge) = phase else { return .failure(.init(.outOfTurn)) }
        phase = .finished
        guard let client = ClientFinal(message) else { return .failure(.init(.malformedScram)) }
        guard client.channelBinding == challenge.channelBinding else {
            return .failure(.init(.channelBindingMismatch))
        }
        guard client.nonce == challenge.nonce else { return .failure(.init(.nonceMismatch)) }
        let authMessage = joined(challenge.authMessageStart, client.withoutProof)
        let clientKey = client.proof.xor(SHA256.hmac(key: verifier.storedKey, authMessage))
        let isRight = SHA256.hash(clientKey).equals(verifier.storedKey)
        if let doomed { return .failure(.init(doomed)) }
        guard isRight else { return .failure(.init(.wrongPassword)) }
        let signature = SHA256.hmac(key: verifier.serverKey, authMessage)
        return .success(
            (
                joined("v=", signature.base64),
                ScramKeys(clientKey: clientKey, serverKey: verifier.serverKey)
            ))
    }

    private func serverFirst(_ nonce: ByteString) -> ByteString {
        var text = ByteBuffer()
        text.append("r=" as StaticString)
        text.append(nonce)
        text.append(",s=" as StaticString)
        text.append(verifier.salt.withView { Base64.encode($0) })
        text.append(",i=" as StaticString)
        text.append(decimal: verifier.iterations)
        return ByteString(text.view)
    }
}

/// A reason as an error, for `Result`.
public struct ScramRejection: Error {
    public let reason: ClientAuthFailure.Reason
    init(_ reason: ClientAuthFailure.Reason) { self.reason = reason }
}

/// client-first-message: gs2 header, "n=" (ignored: the start-up packet names the user), "r=".
private struct ClientFirst {
    let channelBinding: ByteString
    let bare: ByteString
    let nonce: ByteString

    static func parse(
        _ message: ByteView, _ binding: ByteString?, isBound: Bool
    ) -> Result<ClientFirst, ScramRejection> {
        let promise: ScramBinding
        switch message[0] {
        case 0x6E where !isBound: promise = .none
        case 0x79 where !isBound:
            // It could bind and was not offered to, but we did offer: somebody took that out.
            if binding != nil { return .failure(.init(.bindingDowngrade)) }
            promise = .onlyHere
        case 0x70 where message[1] == 0x3D:
            guard isBound, let binding else { return .failure(.init(.channelBinding)) }
            promise = .bound(to: binding)
        case 0x6E, 0x79: return .failure(.init(.bindingMissing))
        default: return .failure(.init(.malformedScram))
        }
        let name = message.firstIndex(of: 0x2C) ?? message.count
        if case .bound = promise, !message.slice(2, name &- 2).equals(ScramBinding.kind) {
            return .failure(.init(.channelBinding))
        }
        guard message[0] == 0x70 || name == 1 else { return .failure(.init(.malformedScram)) }
        if message[name &+ 1] == 0x61 { return .failure(.init(.authorizationIdentity)) }
        guard message[name &+ 1] == 0x2C else { return .failure(.init(.malformedScram)) }
        let bare = message.slice(name &+ 2)
        if bare.hasPrefix("m=") { return .failure(.init(.mandatoryExtension)) }
        var attributes = ScramAttributes(bare)
        guard attributes.next(named: 0x6E) != nil, let nonce = attributes.next(named: 0x72),
            nonce.isScramNonce
        else { return .failure(.init(.malformedScram)) }
        // Further attributes are optional extensions, to be ignored.
        while attributes.next() != nil {}
        guard attributes.isAtEnd else { return .failure(.init(.malformedScram)) }
        return .success(
            ClientFirst(channelBinding: promise.text, bare: ByteString(bare), nonce: ByteString(nonce)))
    }
}

/// client-final-message: "c=", "r=", extensions, and "p=" at the very end.
private struct ClientFinal {
    let channelBinding: ByteString
    let nonce: ByteString
    let proof: Digest256
    let withoutProof: ByteString

    init?(_ message: ByteView) {
        var attributes = ScramAttributes(message)
        guard let channelBinding = attributes.next(named: 0x63), let nonce = attributes.next(named: 0x72)
        else { return nil }
        var proofStart = attributes.offset
        var attribute = attributes.next()
        while let extra = attribute, extra.name != 0x70 {
            proofStart = attributes.offset
            attribute = attributes.next()
        }
        guard let attribute, attributes.isAtEnd, let proof = Digest256(base64: attribute.value) else {
            return nil
        }
        self.channelBinding = ByteString(channelBinding)
        self.nonce = ByteString(nonce)
        self.proof = proof
        withoutProof = ByteString(message.slice(0, proofStart &- 1))
    }
}

/// Our half of a nonce: printable, without comma.
func freshNonce(_ entropy: inout any Entropy) -> ByteString {
    ByteString(entropy.bytes(ScramLimits.nonceBytes)).withView { Base64.encode($0) }
}

func joined(_ parts: ByteString...) -> ByteString { ByteString(parts.flatMap(\.bytes)) }
