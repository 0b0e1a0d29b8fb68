import CLinux
import Config
import EventLoop
import Primitives
import TLS

/// What `--check` says: the errors and warnings of the files, and what this machine is missing for them.
struct ConfigurationCheck {
    private var problems: [String] = []
    private var warnings: [String] = []
    private let found: Snapshot.Examined

    init(_ found: Snapshot.Examined) {
        self.found = found
        problems = found.errors.map(\.text)
        for notice in found.notices {
            switch notice.level {
            case .error: problems.append(notice.text + place(of: "auth_file"))
            case .warning: warnings.append(notice.text)
            }
        }
        warnings += FilePermissions.warnings(found.snapshot)
        checkFiles()
        checkTLS()
        checkUser()
        checkReachability()
    }

    var isGood: Bool { problems.isEmpty }

    var report: String {
        let lines = problems.map { "ERROR \($0)\n" } + warnings.map { "WARNING \($0)\n" }
        let file = found.snapshot.global.conffile?.lossyText ?? ""
        if problems.isEmpty, warnings.isEmpty { return "\(file): no problems\n" }
        let counts = "\(Self.count(problems.count, "error")), \(Self.count(warnings.count, "warning"))"
        return lines.joined() + "\(file): \(counts)\n"
    }

    private static func count(_ count: Int, _ word: String) -> String {
        "\(count) \(word)\(count == 1 ? "" : "s")"
    }

    /// Where a setting stands, as errors say it; empty when it has its default.
    private func place(of setting: ByteString) -> String {
        found.origins.settings[setting].map { " (\($0.file.lossyText):\($0.line))" } ?? ""
    }

    private mutating func miss(_ setting: ByteString, _ text: String) {
        problems.append("\(setting.lossyText)\(place(of: setting)): \(text)")
    }

    private mutating func checkFiles() {
        let global = found.snapshot.global
        for (setting, path) in [("logfile", global.logfile), ("pidfile", global.pidfile)]
            as [(ByteString, ByteString)]
        {
            let folder = Self.folder(of: path)
            if !path.isEmpty, folder.withCString({ linux_is_folder($0) }) == 0 {
                miss(setting, "there is no folder \"\(folder.lossyText)\"")
            }
        }
        let sockets = global.unixSocketDir
        if !sockets.isEmpty, sockets.bytes.first != UInt8(ascii: "@"),
            sockets.withCString({ linux_is_folder($0) }) == 0
        {
            miss("unix_socket_dir", "there is no folder \"\(sockets.lossyText)\"")
        }
        var files: [(ByteString, ByteString)] = [("resolv_conf", global.resolvConf)]
        if global.authType == .hba {
            files += [
                ("auth_hba_file", global.authHBAFile), ("auth_ident_file", global.authIdentFile ?? ""),
            ]
        }
        for (setting, path) in files where !path.isEmpty {
            let (bytes, error) = Files.read(path)
            if bytes == nil {
                miss(setting, "could not open \"\(path.lossyText)\": \(errorText(error).lossyText)")
            }
        }
    }

    private mutating func checkTLS() {
        do throws(TLSFailure) {
            _ = try Security.Contexts(found.snapshot.global)
        } catch {
            problems.append(error.text.lossyText)
        }
    }

    private mutating func checkUser() {
        guard let user = found.snapshot.global.user else { return }
        if user.withCString({ linux_has_user($0) }) == 0 {
            miss("user", "could not find user '\(user.lossyText)' to switch to")
        }
    }

    private mutating func checkReachability() {
        let snapshot = found.snapshot
        let global = snapshot.global
        if global.listenAddr.isEmpty, global.unixSocketDir.isEmpty {
            miss("listen_addr", "nowhere to listen on: neither listen_addr nor unix_socket_dir is set")
        }
        if !problems.isEmpty { return }
        if snapshot.databases.isEmpty, snapshot.autoDatabase == nil {
            warnings.append("there is no database: [databases] is empty")
        }
        let looksUp = global.authUser != nil || snapshot.databases.contains { $0.authUser != nil }
        if global.authType == .ldap {
            if global.authLDAPOptions == nil {
                warnings.append("nobody can log in: auth_ldap_options is not set")
            }
        } else if global.authType.readsAuthFile, global.authFile == nil, !looksUp {
            warnings.append("nobody can log in: neither auth_file nor auth_user is set")
        }
    }

    private static func folder(of path: ByteString) -> ByteString {
        guard let slash = path.bytes.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == 0 ? "/" : ByteString(Array(path.bytes[..<slash]))
    }
}
