public import Primitives

/// Why a login to a server cannot go on.
public enum ServerAuthFailure: Equatable, Sendable {
    case wrongPasswordType(Reason)
    case invalidSignature
    case noMechanism
    case malformed(Reason)

    public enum Reason: Equatable, Sendable {
        case noPassword
        case unknownRequest
        case cleartextWithoutPassword
        case md5
        case scram
        case scramWithoutKeys
        case message
        case outOfTurn
        case withoutProof
    }

    /// For the clients that wait for this server.
    public var text: ByteString {
        switch self {
        case .wrongPasswordType: "server login failed: wrong password type"
        case .invalidSignature: "server login failed: invalid server signature"
        case .noMechanism:
            "server login failed: none of the server's SASL authentication mechanisms are supported"
        case .malformed: "server login failed: failed to answer authreq"
        }
    }

    /// For the log.
    public var reason: ByteString {
        switch self {
        case .wrongPasswordType(let reason), .malformed(let reason): reason.text
        case .invalidSignature: "invalid server signature"
        case .noMechanism: "none of the server's SASL authentication mechanisms are supported"
        }
    }
}

extension ServerAuthFailure.Reason {
    fileprivate var text: ByteString {
        switch self {
        case .noPassword: "no password for the server's user"
        case .unknownRequest: "unknown authentication request"
        case .cleartextWithoutPassword: "cannot do cleartext authentication: wrong password type"
        case .md5: "cannot do MD5 authentication: wrong password type"
        case .scram: "cannot do SCRAM authentication: wrong password type"
        case .scramWithoutKeys:
            """
            cannot do SCRAM authentication: password is SCRAM secret but client authentication did not \
            provide SCRAM keys
            """
        case .message: "malformed authentication message"
        case .outOfTurn: "authentication message out of turn"
        case .withoutProof: "server ended SCRAM authentication without proving itself"
        }
    }
}
