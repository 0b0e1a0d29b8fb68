import Crypto
public import Primitives

/// What a SCRAM exchange says of the TLS link it goes over (RFC 5802, section 6), so that nobody in between
/// can pass it on: that link has another certificate.
public enum ScramBinding: Equatable, Sendable {
    /// The client cannot bind.
    case none
    /// The client could, and believes that the server cannot.
    case onlyHere
    /// Bound to the server's certificate, by this digest (`tls-server-end-point`, RFC 5929).
    case bound(to: ByteString)

    static let kind: StaticString = "tls-server-end-point"

    /// In front of the client's first message.
    var header: ByteString {
        switch self {
        case .none: "n,,"
        case .onlyHere: "y,,"
        case .bound: joined("p=", ByteString(Self.kind), ",,")
        }
    }

    /// The value of "c=" in its last one.
    var text: ByteString {
        switch self {
        case .none, .onlyHere: header.withView { Base64.encode($0) }
        case .bound(let digest): joined(header, digest).withView { Base64.encode($0) }
        }
    }
}
