import Crypto
public import Primitives
import Wire

/// How a client must prove who it is.
public enum ClientMethod: Equatable, Sendable {
    case trust, plain, md5, scram
    /// A password in clear text, which somebody else says yes or no to.
    case judged
}

/// What to do after a step of `ClientAuth`.
public enum ClientAuthStep: Sendable {
    /// Flush what was written, wait for the next 'p' message.
    case waiting
    /// Flush what was written, then send AuthenticationOk. The keys are there when the stored secret is a
    /// SCRAM verifier: they log in to a server which keeps the same one.
    case accepted(ScramKeys?)
    /// Send the failure's text as FATAL 08P01, close.
    case rejected(ClientAuthFailure)
    /// Of `judged`: the password, for whoever judges it. Nothing is to come from here.
    case typed(Secret)
}

/// Asks a client for its password, step by step: `begin`, then `received` for every 'p' message until the
/// answer is not `waiting`. Writes requests only; AuthenticationOk is the caller's.
///
/// An unknown user (no secret) goes through the same messages as a known one and fails where a wrong password
/// would.
public struct ClientAuth: Sendable {
    private enum Phase: Sendable {
        /// Nothing was asked yet. Leads to: cleartext, md5, saslStart, finished.
        case new
        /// A PasswordMessage with the password must come. Leads to: finished.
        case cleartext
        /// A PasswordMessage with the digest over this salt must come. Leads to: finished.
        case md5(salt: ByteString)
        /// A SASLInitialResponse must come. Leads to: saslFinal, finished.
        case saslStart
        /// A SASLResponse with the proof must come. Leads to: finished.
        case saslFinal(ScramChallenger)
        /// Accepted or rejected; nothing may come any more.
        case finished
    }

    private let method: ClientMethod
    private let user: ByteString
    private var secret: Secret?
    private let instance: InstanceSecret
    private let iterations: Int
    private let binding: ByteString?
    private let derivesForNobody: Bool
    private var phase = Phase.new

    /// - secret: `nil` for an unknown user.
    /// - iterations: what users without a SCRAM secret are asked for.
    /// - derivesForNobody: a clear-text password of an unknown user costs PBKDF2, as it does with a verifier:
    ///   right where known users have verifiers, because otherwise time would tell.
    /// - binding: of a link with TLS, the digest of the certificate that we have shown.
    public init(
        method: ClientMethod, user: ByteString, secret: Secret?, instance: InstanceSecret, iterations: Int,
        derivesForNobody: Bool = false, binding: ByteString? = nil
    ) {
        // A SCRAM verifier cannot answer MD5, so its user is asked for SCRAM, as PgBouncer does.
        self.method = method == .md5 && secret?.kind == .scram ? .scram : method
        self.binding = binding
        self.user = user
        self.secret = secret
        self.instance = instance
        self.derivesForNobody = derivesForNobody
        self.iterations = min(max(iterations, 1), ScramLimits.iterations)
    }

    /// Longest body a 'p' message may have now; the caller refuses a longer one on its header, with
    /// `failureOverLimit`.
    public var bodyLimitBytes: Int {
        switch phase {
        case .cleartext: Self.passwordLimitBytes + 1
        case .md5, .saslStart, .saslFinal: ScramLimits.clientMessageBytes
        case .new, .finished: 0
        }
    }

    public var failureOverLimit: ClientAuthFailure {
        switch phase {
        case .saslStart, .saslFinal: .sasl(.tooLong)
        case .new, .cleartext, .md5, .finished: .password(.tooLong)
        }
    }

    /// Longest password, in bytes, without its terminator.
    private static let passwordLimitBytes = 65_535

    /// Writes the first request.
    public mutating func begin(entropy: inout any Entropy, into buffer: inout ByteBuffer) -> ClientAuthStep {
        guard case .new = phase else { return reject(.password(.outOfTurn)) }
        switch method {
        case .trust:
            phase = .finished
            return secret == nil ? .rejected(.trustOfUnknownUser) : .accepted(nil)
        case .plain, .judged:
            phase = .cleartext
            buffer.authentication(.cleartextPassword)
        case .md5:
            let salt = ByteString(entropy.bytes(MD5Password.saltBytes))
            phase = .md5(salt: salt)
            buffer.authentication(.md5Password) { $0.append(salt) }
        case .scram:
            phase = .saslStart
            buffer.authentication(.sasl) {
                if binding != nil { $0.append(cString: ServerAuth.boundMechanism) }
                $0.append(cString: ServerAuth.mechanism)
                $0.append(0)
            }
        }
        return .waiting
    }

    /// Takes the body of a 'p' message. `cache` spares PBKDF2 for plain secrets.
    public mutating func received(
        _ body: ByteView, entropy: inout any Entropy, cache: inout ScramKeyCache,
        into buffer: inout ByteBuffer
    ) -> ClientAuthStep {
        guard body.count <= bodyLimitBytes else { return reject(failureOverLimit) }
        let current = phase
        phase = .finished
        switch current {
        case .new, .finished:
            return .rejected(.password(.outOfTurn))
        case .cleartext:
            if method == .judged { return checkPassword(body) { .typed(Secret(typed: $0)) } }
            return checkPassword(body) { checkCleartext($0, &cache) }
        case .md5(let salt):
            return checkPassword(body) { checkMD5($0, salt: salt) }
        case .saslStart:
            return startSASL(body, entropy: &entropy, cache: &cache, into: &buffer)
        case .saslFinal(let challenger):
            return finishSASL(body, challenger, into: &buffer)
        }
    }

    /// The same exchange, held against another secret: it has turned out that this one is out of date.
    public func against(_ secret: Secret?) -> ClientAuth {
        var other = self
        other.secret = secret
        return other
    }

    /// Whether the next 'p' message can be held against more than one secret. A SCRAM exchange is bound to
    /// the first one by the salt that the client has been told.
    public var canBeRepeated: Bool {
        switch phase {
        case .cleartext, .md5: true
        case .new, .saslStart, .saslFinal, .finished: false
        }
    }

    /// The next 'p' message is a password in clear text.
    public var takesTypedPassword: Bool {
        if case .cleartext = phase { return true }
        return false
    }

    /// What PBKDF2 has to run over for this body, if it has to: whoever cannot wait for that has it done
    /// elsewhere and puts the keys into the cache first.
    public func derivation(for body: ByteView) -> Derivation? {
        guard body.count <= bodyLimitBytes else { return nil }
        guard let secret else {
            guard derivesForNobody, takesTypedPassword, let (password, next) = body.cString(at: 0),
                next == body.count, !password.isEmpty
            else { return nil }
            return Derivation(
                secret: Secret(password), salt: instance.salt(for: user), iterations: iterations)
        }
        switch phase {
        case .saslStart where secret.kind == .plain && !secret.isEmpty:
            return Derivation(secret: secret, salt: instance.salt(for: user), iterations: iterations)
        case .cleartext where secret.kind == .scram:
            guard let verifier = secret.verifier, verifier.iterations <= ScramLimits.iterations,
                let (password, next) = body.cString(at: 0), next == body.count, !password.isEmpty
            else { return nil }
            return Derivation(
                secret: Secret(password), salt: verifier.salt, iterations: verifier.iterations)
        case .new, .cleartext, .md5, .saslStart, .saslFinal, .finished:
            return nil
        }
    }

    private mutating func reject(_ failure: ClientAuthFailure) -> ClientAuthStep {
        phase = .finished
        return .rejected(failure)
    }
}

// Clear text and MD5.
extension ClientAuth {
    /// Manual, "PasswordMessage": one string, and nothing behind its terminator.
    private func checkPassword(_ body: ByteView, _ check: (ByteView) -> ClientAuthStep) -> ClientAuthStep {
        guard let (password, next) = body.cString(at: 0), next == body.count else {
            return .rejected(.password(.malformedPassword))
        }
        return password.isEmpty ? .rejected(.emptyPassword) : check(password)
    }

    private func checkCleartext(_ password: ByteView, _ cache: inout ScramKeyCache) -> ClientAuthStep {
        guard let secret else {
            if derivesForNobody {
                _ = cache.keys(of: Secret(password), salt: instance.salt(for: user), iterations: iterations)
            }
            return .rejected(.password(.unknownUser))
        }
        switch secret.kind {
        case .plain:
            if secret.isEmpty { return .rejected(.password(.emptySecret)) }
            return verdict(secret.withView { ConstantTime.equalSecrets(password, $0) })
        case .md5:
            return verdict(MD5Password.matches(password, user: user, secret: secret))
        case .malformed:
            return .rejected(.password(.malformedSecret))
        case .scram:
            guard let verifier = secret.verifier else { return .rejected(.password(.malformedSecret)) }
            guard verifier.iterations <= ScramLimits.iterations else {
                return .rejected(.password(.tooManyIterations))
            }
            let keys = cache.keys(
                of: Secret(password), salt: verifier.salt, iterations: verifier.iterations)
            return verdict(SHA256.hash(keys.clientKey).equals(verifier.storedKey), keys: keys)
        }
    }

    private func checkMD5(_ answer: ByteView, salt: ByteString) -> ClientAuthStep {
        guard let secret else { return .rejected(.password(.unknownUser)) }
        if secret.isEmpty { return .rejected(.password(.emptySecret)) }
        let expected = salt.withView { MD5Password.answer(secret, user: user, salt: $0) }
        guard let expected else { return .rejected(.password(.malformedSecret)) }
        return verdict(expected.withView { ConstantTime.equal($0, answer) })
    }

    private func verdict(_ isRight: Bool, keys: ScramKeys? = nil) -> ClientAuthStep {
        isRight ? .accepted(keys) : .rejected(.password(.wrongPassword))
    }
}

// SASL (manual, "SASL Authentication").
extension ClientAuth {
    private mutating func startSASL(
        _ body: ByteView, entropy: inout any Entropy, cache: inout ScramKeyCache,
        into buffer: inout ByteBuffer
    ) -> ClientAuthStep {
        // SASLInitialResponse: mechanism, length of the response or -1, response.
        guard let (mechanism, next) = body.cString(at: 0), let length = body.uint32(at: next) else {
            return .rejected(.sasl(.malformedScram))
        }
        let isBound = binding != nil && mechanism.equals(ServerAuth.boundMechanism)
        guard isBound || mechanism.equals(ServerAuth.mechanism) else { return .rejected(.mechanism) }
        let response = body.slice(next &+ 4)
        guard Int(length) == response.count, response.firstIndex(of: 0) == nil else {
            return .rejected(.sasl(.malformedScram))
        }
        var challenger = challenger(&cache, isBound: isBound)
        switch challenger.first(response, ownNonce: freshNonce(&entropy)) {
        case .failure(let rejection):
            return .rejected(.sasl(rejection.reason))
        case .success(let serverFirst):
            phase = .saslFinal(challenger)
            buffer.authentication(.saslContinue) { $0.append(serverFirst) }
            return .waiting
        }
    }

    private func finishSASL(
        _ body: ByteView, _ challenger: ScramChallenger, into buffer: inout ByteBuffer
    ) -> ClientAuthStep {
        var challenger = challenger
        switch challenger.final(body) {
        case .failure(let rejection):
            return .rejected(.sasl(rejection.reason))
        case .success(let (serverFinal, keys)):
            buffer.authentication(.saslFinal) { $0.append(serverFinal) }
            return .accepted(secret?.kind == .scram ? keys : nil)
        }
    }

    /// A plain password is salted as an unknown user is, so that the salt tells them apart neither at once
    /// nor from one worker or run to the next.
    private func challenger(_ cache: inout ScramKeyCache, isBound: Bool) -> ScramChallenger {
        func mock(_ reason: ClientAuthFailure.Reason) -> ScramChallenger {
            ScramChallenger(
                verifier: instance.mockVerifier(for: user, iterations: iterations), doomed: reason,
                binding: binding, isBound: isBound)
        }
        switch secret?.kind {
        case .scram:
            guard let verifier = secret?.verifier else { return mock(.malformedSecret) }
            return ScramChallenger(
                verifier: verifier, doomed: nil, binding: binding, isBound: isBound)
        case .plain:
            guard let secret, !secret.isEmpty else { return mock(.emptySecret) }
            let salt = instance.salt(for: user)
            let keys = cache.keys(of: secret, salt: salt, iterations: iterations)
            return ScramChallenger(
                verifier: ScramVerifier(keys, salt: salt, iterations: iterations), doomed: nil,
                binding: binding, isBound: isBound)
        case .md5: return mock(.md5Secret)
        case .malformed: return mock(.malformedSecret)
        case nil: return mock(.unknownUser)
        }
    }
}
