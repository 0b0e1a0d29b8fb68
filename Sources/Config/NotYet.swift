import Primitives

/// What PgBouncer can do and this program cannot do yet. A configuration that asks for it is refused:
/// silently doing something else would be worse. Whoever builds one of these deletes its row.
enum NotYet {
    struct Row: Sendable {
        /// The setting whose line an error names.
        let setting: ByteString
        let sentence: String
        let applies: @Sendable (Snapshot) -> Bool
    }

    static let rows: [Row] = [
        Row(
            setting: "auth_type",
            sentence: "this way to log in is not available yet; use scram-sha-256, md5, hba or trust"
        ) {
            switch $0.global.authType {
            case .ldap, .pam: true
            case .any, .trust, .cert, .plain, .md5, .scramSHA256, .hba: false
            }
        }
    ]
}
