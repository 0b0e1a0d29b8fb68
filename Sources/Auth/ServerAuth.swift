import Crypto
public import Primitives
import Wire

/// What we can prove ourselves with towards a server.
public enum ServerCredential: Sendable {
    case none
    case secret(Secret)
    /// Taken from the client's own login (`ClientAuthStep.accepted`).
    case keys(ScramKeys)
}

/// What to do after a step of `ServerAuth`.
public enum ServerAuthStep: Sendable {
    /// Flush what was written, if anything, and wait for the next 'R' message.
    case replied
    /// The server has let us in, and has proved itself where the method makes it.
    case accepted
    case failed(ServerAuthFailure)
}

/// Answers a server's authentication requests, step by step: `received` for every 'R' message until the
/// answer is not `replied`.
public struct ServerAuth: Sendable {
    public static let mechanism: StaticString = "SCRAM-SHA-256"
    /// The same, bound to the TLS link it goes over (RFC 5802, section 6).
    public static let boundMechanism: StaticString = "SCRAM-SHA-256-PLUS"

    private enum Phase: Sendable {
        /// The server asked nothing yet. Leads to: passwordSent, saslStarted, finished.
        case new
        /// Only AuthenticationOk may come. Leads to: finished.
        case passwordSent
        /// Our nonce is out. Leads to: proofSent, finished.
        case saslStarted(ScramProver)
        /// Our proof is out; the server must answer with this signature. Leads to: serverProved, finished.
        case proofSent(signature: Digest256)
        /// Only AuthenticationOk may come. Leads to: finished.
        case serverProved
        /// Accepted or failed; nothing may come any more.
        case finished
    }

    private let user: ByteString
    private let credential: ServerCredential
    private let binding: ByteString?
    private var phase = Phase.new

    /// `binding`: of a link with TLS, the digest of the server's certificate.
    public init(user: ByteString, credential: ServerCredential, binding: ByteString? = nil) {
        self.user = user
        self.credential = credential
        self.binding = binding
    }

    /// Takes the body of an 'R' message. `cache` spares PBKDF2 for plain secrets.
    public mutating func received(
        _ body: ByteView, entropy: inout any Entropy, cache: inout ScramKeyCache,
        into buffer: inout ByteBuffer
    ) -> ServerAuthStep {
        let current = phase
        phase = .finished
        guard body.count <= ScramLimits.serverMessageBytes, let word = body.uint32(at: 0) else {
            return .failed(.malformed(.message))
        }
        guard let request = AuthenticationRequest(rawValue: word) else {
            return .failed(.wrongPasswordType(.unknownRequest))
        }
        let payload = body.slice(4)
        switch (request, current) {
        case (.ok, .new), (.ok, .passwordSent), (.ok, .serverProved):
            return payload.isEmpty ? .accepted : .failed(.malformed(.message))
        case (.ok, .saslStarted), (.ok, .proofSent):
            return .failed(.malformed(.withoutProof))
        case (.cleartextPassword, .new):
            return payload.isEmpty ? sendPassword(into: &buffer) : .failed(.malformed(.message))
        case (.md5Password, .new):
            return sendMD5(payload, into: &buffer)
        case (.sasl, .new):
            return startSASL(payload, entropy: &entropy, into: &buffer)
        case (.saslContinue, .saslStarted(let prover)):
            return sendProof(payload, prover, cache: &cache, into: &buffer)
        case (.saslFinal, .proofSent(let signature)):
            return checkSignature(payload, signature)
        case (.cleartextPassword, _), (.md5Password, _), (.sasl, _), (.saslContinue, _), (.saslFinal, _),
            (.ok, .finished):
            return .failed(.malformed(.outOfTurn))
        }
    }

    /// What PBKDF2 has to run over for this body, if it has to.
    public func derivation(for body: ByteView) -> Derivation? {
        guard case .saslStarted(let prover) = phase, case .secret(let secret) = credential,
            body.count <= ScramLimits.serverMessageBytes,
            body.uint32(at: 0) == AuthenticationRequest.saslContinue.rawValue,
            let first = prover.parse(serverFirst: body.slice(4))
        else { return nil }
        return Derivation(secret: secret, salt: first.salt, iterations: first.iterations)
    }

    private mutating func sendPassword(into buffer: inout ByteBuffer) -> ServerAuthStep {
        switch credential {
        case .none:
            return .failed(.wrongPasswordType(.noPassword))
        case .keys:
            return .failed(.wrongPasswordType(.cleartextWithoutPassword))
        case .secret(let secret):
            guard secret.kind == .plain else { return .failed(.wrongPasswordType(.cleartextWithoutPassword)) }
            buffer.message(.password) { buffer in secret.withView { buffer.append(cString: $0) } }
            phase = .passwordSent
            return .replied
        }
    }

    private mutating func sendMD5(_ salt: ByteView, into buffer: inout ByteBuffer) -> ServerAuthStep {
        guard salt.count == MD5Password.saltBytes else { return .failed(.malformed(.message)) }
        switch credential {
        case .none:
            return .failed(.wrongPasswordType(.noPassword))
        case .keys:
            return .failed(.wrongPasswordType(.md5))
        case .secret(let secret):
            guard let answer = MD5Password.answer(secret, user: user, salt: salt) else {
                return .failed(.wrongPasswordType(.md5))
            }
            buffer.message(.password) { $0.append(cString: answer) }
            phase = .passwordSent
            return .replied
        }
    }
}

// SASL (manual, "SASL Authentication").
extension ServerAuth {
    private mutating func startSASL(
        _ payload: ByteView, entropy: inout any Entropy, into buffer: inout ByteBuffer
    ) -> ServerAuthStep {
        guard let offers = offers(in: payload) else { return .failed(.malformed(.message)) }
        let isBound = offers.bound && binding != nil
        guard offers.plain || isBound else { return .failed(.noMechanism) }
        switch credential {
        case .none: return .failed(.wrongPasswordType(.noPassword))
        case .keys: break
        case .secret(let secret):
            switch secret.kind {
            case .plain: break
            case .md5, .malformed: return .failed(.wrongPasswordType(.scram))
            case .scram: return .failed(.wrongPasswordType(.scramWithoutKeys))
            }
        }
        // Whoever takes the better mechanism out of the list is found out: we say that we could do it.
        let promise = binding.map { isBound ? ScramBinding.bound(to: $0) : .onlyHere } ?? .none
        let prover = ScramProver(entropy: &entropy, binding: promise)
        buffer.message(.password) {
            $0.append(cString: isBound ? Self.boundMechanism : Self.mechanism)
            $0.append(uint32: UInt32(truncatingIfNeeded: prover.clientFirst.count))
            $0.append(prover.clientFirst)
        }
        phase = .saslStarted(prover)
        return .replied
    }

    /// `nil` unless the list is strings up to an empty one, and nothing behind it.
    private func offers(in list: ByteView) -> (plain: Bool, bound: Bool)? {
        var offers = (plain: false, bound: false)
        var offset = 0
        while let (name, next) = list.cString(at: offset) {
            if name.isEmpty { return next == list.count ? offers : nil }
            if name.equals(Self.mechanism) { offers.plain = true }
            if name.equals(Self.boundMechanism) { offers.bound = true }
            offset = next
        }
        return nil
    }

    private mutating func sendProof(
        _ payload: ByteView, _ prover: ScramProver, cache: inout ScramKeyCache, into buffer: inout ByteBuffer
    ) -> ServerAuthStep {
        guard let serverFirst = prover.parse(serverFirst: payload) else {
            return .failed(.malformed(.message))
        }
        let keys: ScramKeys
        switch credential {
        case .none: return .failed(.wrongPasswordType(.noPassword))
        case .keys(let captured): keys = captured
        case .secret(let secret):
            keys = cache.keys(of: secret, salt: serverFirst.salt, iterations: serverFirst.iterations)
        }
        let (clientFinal, signature) = prover.answer(serverFirst, keys: keys)
        buffer.message(.password) { $0.append(clientFinal) }
        phase = .proofSent(signature: signature)
        return .replied
    }

    private mutating func checkSignature(_ payload: ByteView, _ signature: Digest256) -> ServerAuthStep {
        guard let isRight = ScramProver.verify(serverFinal: payload, signature: signature) else {
            return .failed(.malformed(.message))
        }
        guard isRight else { return .failed(.invalidSignature) }
        phase = .serverProved
        return .replied
    }
}
