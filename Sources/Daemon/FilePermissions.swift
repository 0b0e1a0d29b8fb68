import CLinux
import Config
import EventLoop
import Primitives
import TLS

/// Whether others on this machine may read what is secret, or write what decides who gets in.
///
/// A private key that others may read is refused, as PostgreSQL and libpq do. PgBouncer takes every user
/// list, so the rest is only warned of.
enum FilePermissions {
    private static let othersRead: UInt32 = 0o004
    private static let othersWrite: UInt32 = 0o002

    private struct Found {
        let mode: UInt32
        let owner: UInt32

        /// `nil` for what is not there or no plain file.
        init?(_ path: ByteString) {
            var owner: UInt32 = 0
            let mode = path.withCString { linux_file_mode($0, &owner) }
            guard mode > 0 else { return nil }
            (self.mode, self.owner) = (UInt32(truncatingIfNeeded: mode), owner)
        }

        var text: String { "mode 0" + String(mode, radix: 8) }
    }

    // MARK: Keys

    /// Why a private key is not safe where it is: only its owner may have access, or root's group read it.
    static func checkKeys(_ global: GlobalSettings) throws(TLSFailure) {
        let keys: [(String, ByteString)] = [
            ("client_tls_key_file", global.clientTLSKeyFile),
            ("server_tls_key_file", global.serverTLSKeyFile),
        ]
        for (setting, path) in keys {
            guard !path.isEmpty, let found = Found(path) else { continue }
            let allowed: UInt32 = found.owner == 0 ? 0o740 : 0o700
            if found.mode & ~allowed & 0o777 != 0 {
                throw TLSFailure(
                    ByteString(
                        """
                        TLS setup failed: \(setting) \"\(path.lossyText)\" has group or world access \
                        (\(found.text)): chmod 0600, or 0640 if it is root's
                        """))
            }
        }
    }

    // MARK: Secrets and rules

    static func warnings(_ snapshot: Snapshot) -> [String] {
        let global = snapshot.global
        var warnings: [String] = []
        if let file = global.authFile, global.authType.readsAuthFile {
            let isSecret = snapshot.secrets.values.contains { !$0.isEmpty }
            warn(of: "auth_file", file, secret: isSecret, into: &warnings)
        }
        if let file = global.conffile {
            let isSecret =
                snapshot.databases.contains { $0.password != nil } || snapshot.autoDatabase?.password != nil
            warn(of: "the configuration", file, secret: isSecret, into: &warnings)
        }
        if global.authType == .hba {
            let isSecret = snapshot.access.holdsSecrets
            warn(of: "auth_hba_file", global.authHBAFile, secret: isSecret, into: &warnings)
            if let file = global.authIdentFile {
                warn(of: "auth_ident_file", file, secret: false, into: &warnings)
            }
        }
        let entries = snapshot.databases + (snapshot.autoDatabase.map { [$0] } ?? [])
        let files = entries.compactMap(\.passwordFile) + snapshot.users.compactMap(\.passwordFile)
        for file in Set(files).sorted() { warn(of: "password_file", file, secret: true, into: &warnings) }
        return warnings
    }

    private static func warn(
        of name: String, _ path: ByteString, secret: Bool, into warnings: inout [String]
    ) {
        guard !path.isEmpty, let found = Found(path) else { return }
        let what =
            found.mode & othersWrite != 0
            ? "everybody may write" : secret && found.mode & othersRead != 0 ? "everybody may read" : nil
        guard let what else { return }
        warnings.append("\(what) \(name) \"\(path.lossyText)\" (\(found.text)): chmod o= it")
    }
}
