import Crypto
import Primitives

/// PostgreSQL's MD5 method: "md5" + MD5(MD5(password + user) + salt), digests in hexadecimal (manual,
/// "Start-up").
enum MD5Password {
    /// "md5" and 32 digits.
    static let byteCount = 35
    /// Of an AuthenticationMD5Password message.
    static let saltBytes = 4

    /// What a client with this secret answers. `nil` when the secret is of no use for MD5, or libcrypto
    /// refuses MD5.
    static func answer(_ secret: Secret, user: ByteString, salt: ByteView) -> ByteString? {
        let inner: [UInt8]? =
            switch secret.kind {
            case .plain: user.withView { user in secret.withView { MD5.hex($0, user) } }
            case .md5: secret.withView { Array($0.slice(3).rawBuffer) }
            case .scram, .malformed: nil
            }
        guard let inner, let outer = ByteString(inner).withView({ MD5.hex($0, salt) }) else { return nil }
        return ByteString(Array("md5".utf8) + outer)
    }

    /// Whether a password sent in clear text is the one behind an md5 secret.
    static func matches(_ password: ByteView, user: ByteString, secret: Secret) -> Bool {
        guard let digits = user.withView({ MD5.hex(password, $0) }) else { return false }
        return ByteString(digits).withView { computed in
            secret.withView { ConstantTime.equal(computed, $0.slice(3)) }
        }
    }
}
