import Crypto
public import Primitives

/// What a stored secret is (PostgreSQL manual, "pg_authid.rolpassword").
public enum SecretKind: Sendable {
    case plain
    /// "md5" and 32 lower-case hexadecimal digits: the digest of password and user name.
    case md5
    /// A SCRAM-SHA-256 verifier.
    case scram
    /// Starts as a SCRAM verifier but is none. It matches no password, so its user cannot log in; taking it
    /// as a plain password would let the text of a damaged verifier in.
    case malformed
}

/// A stored password in any of its forms. Deliberately neither Equatable nor printable; wiped on release.
public final class Secret: Sendable {
    public let kind: SecretKind
    /// Only of kind `scram`.
    public let verifier: ScramVerifier?
    /// It is what somebody typed, whatever it looks like.
    public let isTyped: Bool
    private let bytes: SecretBytes

    public convenience init(_ text: ByteString) { self.init(text.withView { SecretBytes($0) }) }
    public convenience init(_ text: ByteView) { self.init(SecretBytes(text)) }

    public init(typed password: ByteView) {
        bytes = SecretBytes(password)
        kind = .plain
        verifier = nil
        isTyped = true
    }

    private init(_ bytes: SecretBytes) {
        self.bytes = bytes
        isTyped = false
        verifier = bytes.withView { ScramVerifier(parsing: $0) }
        if verifier != nil {
            kind = .scram
        } else {
            kind = bytes.withView { Secret.kindWithoutVerifier($0) }
        }
    }

    /// An empty secret lets nobody in, as in PostgreSQL.
    public var isEmpty: Bool { bytes.count == 0 }

    public func withView<R>(_ body: (ByteView) -> R) -> R { bytes.withView(body) }

    /// Whether both hold the same bytes, in constant time: a reload makes new objects of the same secrets.
    public func isSame(as other: Secret) -> Bool { bytes.equals(other.bytes) }

    private static func kindWithoutVerifier(_ text: ByteView) -> SecretKind {
        if text.hasPrefix(ScramVerifier.prefix) { return .malformed }
        guard text.hasPrefix("md5"), text.count == MD5Password.byteCount else { return .plain }
        return text.slice(3).rawBuffer.allSatisfy { $0.isLowercaseHexDigit } ? .md5 : .plain
    }
}

extension UInt8 {
    fileprivate var isLowercaseHexDigit: Bool { (0x30...0x39).contains(self) || (0x61...0x66).contains(self) }
}
