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
        },
        Row(
            setting: "client_tls_sslmode",
            sentence: "TLS with several workers is not available yet; use disable, or workers = 1"
        ) { $0.global.workers != 1 && $0.global.clientTLSSSLMode != .disable },
        Row(
            setting: "io_uring",
            sentence: "io_uring with several workers is not available yet; use auto or no, or workers = 1"
        ) { $0.global.workers != 1 && $0.global.ioUring == .yes },
        Row(
            setting: "server_tls_sslmode",
            sentence:
                "TLS with several workers is not available yet; use prefer, allow or disable, or workers = 1"
        ) {
            switch $0.global.serverTLSSSLMode {
            case .disable, .allow, .prefer: false
            case .require, .verifyCA, .verifyFull: $0.global.workers != 1
            }
        },
    ]
}
