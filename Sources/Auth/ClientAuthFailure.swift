public import Primitives

/// Why a client may not in. What the client hears never says whether the user exists; the reason is for our
/// log.
public enum ClientAuthFailure: Equatable, Sendable {
    case trustOfUnknownUser
    case emptyPassword
    case password(Reason)
    /// The client chose a mechanism we did not offer.
    case mechanism
    case sasl(Reason)

    public enum Reason: Equatable, Sendable {
        case wrongPassword
        case unknownUser
        case emptySecret
        case md5Secret
        case malformedSecret
        case tooManyIterations
        case malformedPassword
        case tooLong
        case channelBinding
        case bindingDowngrade
        case bindingMissing
        case authorizationIdentity
        case mandatoryExtension
        case nonceMismatch
        case channelBindingMismatch
        case malformedScram
        case outOfTurn
    }

    /// For the client: FATAL, 08P01.
    public var text: ByteString {
        switch self {
        case .trustOfUnknownUser: "\"trust\" authentication failed"
        case .emptyPassword: "empty password returned by client"
        case .password: "password authentication failed"
        case .mechanism: "client selected an invalid SASL authentication mechanism"
        case .sasl: "SASL authentication failed"
        }
    }

    /// For the log.
    public var reason: ByteString {
        switch self {
        case .trustOfUnknownUser: "no such user"
        case .emptyPassword, .mechanism: text
        case .password(let reason), .sasl(let reason): reason.text
        }
    }
}

extension ClientAuthFailure.Reason {
    fileprivate var text: ByteString {
        switch self {
        case .wrongPassword: "password authentication failed"
        case .unknownUser: "no such user"
        case .emptySecret: "user has an empty password"
        case .md5Secret: "SCRAM authentication failed: user has MD5 secret"
        case .malformedSecret: "user has a malformed SCRAM secret"
        case .tooManyIterations: "SCRAM secret has more iterations than we compute for a plain password"
        case .malformedPassword: "malformed password message"
        case .tooLong: "authentication message is too long"
        case .channelBinding: "client requires SCRAM channel binding, but it is not supported"
        case .bindingDowngrade:
            "client supports SCRAM channel binding but was told that it is not offered, which it was"
        case .bindingMissing: "malformed SCRAM message (channel binding was chosen and is not there)"
        case .authorizationIdentity: "client uses authorization identity, but it is not supported"
        case .mandatoryExtension: "malformed SCRAM message (client requires an unsupported SCRAM extension)"
        case .nonceMismatch: "invalid SCRAM response (nonce does not match)"
        case .channelBindingMismatch: "malformed SCRAM message (unexpected channel-binding attribute)"
        case .malformedScram: "malformed SCRAM message"
        case .outOfTurn: "authentication message out of turn"
        }
    }
}
