import Auth
import CLDAP
import CLinux
import Config
import EventLoop
import Primitives

/// Asks LDAP servers whether a password is right: on threads that may wait, since all of it blocks.
///
/// Servers are tried in their order. One that could not be reached is tried after the others for a while, so
/// that a dead one does not cost every login its time-out.
///
/// `@unchecked Sendable`: what changes is behind the gate's lock.
final class DirectoryLogin: @unchecked Sendable {
    /// No step of a conversation with a server takes longer.
    private static let stepSeconds: Int32 = 3
    /// No further server is tried after that, whatever became of the others.
    private static let wholeLimit = TimeSpan.seconds(15)
    /// How long a server that could not be reached stands behind the others.
    private static let graveTime = TimeSpan.seconds(30)
    /// Unreachable servers that are remembered; all are forgotten when there are more.
    private static let graveLimit = 256

    private static let isReady = cldap_prepare() == 0

    private let gate = linux_gate_make()
    private var unreachable: [ByteString: Instant] = [:]

    deinit { linux_gate_free(gate) }

    /// What one server says.
    private enum Answer {
        case allowed
        /// Whatever other servers say.
        case refused(ByteString)
        case unreachable(ByteString)
    }

    /// `nil` when it is right, or why it counts as wrong.
    func refusal(_ options: LDAPOptions, user: ByteString, password: Secret) -> ByteString? {
        // A bind without a password succeeds for any name, and proves nothing.
        if password.isEmpty { return "empty password" }
        guard Self.isReady else { return "libldap cannot be used" }
        guard let servers = Self.servers(of: options) else {
            return "LDAP: the DNS has no servers for the domain of ldapbasedn"
        }
        let start = MonotonicClock.now()
        var reasons: [ByteString] = []
        for server in sorted(servers, start) {
            guard MonotonicClock.now() < start + Self.wholeLimit else { break }
            switch Self.ask(server, options, user, password) {
            case .allowed:
                remember(server, isReachable: true)
                return nil
            case .refused(let reason):
                remember(server, isReachable: true)
                return reason
            case .unreachable(let reason):
                remember(server, isReachable: false)
                reasons.append(reason)
            }
        }
        return ByteString(Array(reasons.map(\.bytes).joined(separator: Array("; ".utf8))))
    }

    // MARK: Servers

    private static func servers(of options: LDAPOptions) -> [ByteString]? {
        guard options.servers.isEmpty, case .found(let search) = options.entry else { return options.servers }
        guard let list = search.base.withCString({ cldap_servers($0) }) else { return nil }
        defer { ldap_memfree(list) }
        let scheme = Array((options.isEncrypted ? "ldaps://" : "ldap://").utf8)
        return ByteString(ByteView(UnsafeRawBufferPointer(start: list, count: strlen(list)))).bytes
            .split(separator: 0x20).map { ByteString(scheme + $0) }
    }

    private func sorted(_ servers: [ByteString], _ now: Instant) -> [ByteString] {
        linux_gate_lock(gate)
        defer { linux_gate_unlock(gate) }
        if unreachable.isEmpty { return servers }
        let isDead = { (server: ByteString) in (self.unreachable[server] ?? .zero) > now }
        return servers.filter { !isDead($0) } + servers.filter(isDead)
    }

    private func remember(_ server: ByteString, isReachable: Bool) {
        linux_gate_lock(gate)
        defer { linux_gate_unlock(gate) }
        if unreachable.count >= Self.graveLimit { unreachable = [:] }
        unreachable[server] = isReachable ? nil : MonotonicClock.now() + Self.graveTime
    }

    // MARK: One server

    private static func ask(
        _ server: ByteString, _ options: LDAPOptions, _ user: ByteString, _ password: Secret
    ) -> Answer {
        var opened: OpaquePointer?
        let result = server.withCString { cldap_open(&opened, $0, stepSeconds) }
        guard result == cldap_success, let connection = opened else {
            return .refused(said("could not initialize LDAP for ", server, result, nil))
        }
        defer { cldap_close(connection) }
        if options.startsTLS {
            let result = cldap_start_tls(connection)
            if result != cldap_success {
                let reason = said(
                    "could not start LDAP TLS session (is the certificate good? see TLS_CACERT in ldap.conf)"
                        + " on server ", server, result, nil)
                return cldap_is_unreachable(result) != 0 ? .unreachable(reason) : .refused(reason)
            }
        }
        let entry: ByteString
        switch options.entry {
        case .named(let prefix, let suffix):
            entry = LDAPOptions.entryName(prefix: prefix, user: user, suffix: suffix)
        case .found(let search):
            switch find(user, search, server, connection) {
            case .success(let name): entry = name
            case .failure(let problem): return problem.answer
            }
        }
        let bound = password.withView { bind(connection, entry, $0) }
        if bound == cldap_success { return .allowed }
        let reason = said(
            "LDAP login failed for user \(entry.lossyText) on server ", server, bound, connection)
        return cldap_is_unreachable(bound) != 0 ? .unreachable(reason) : .refused(reason)
    }

    private struct NotFound: Error { let answer: Answer }

    private static func find(
        _ user: ByteString, _ search: LDAPOptions.Search, _ server: ByteString, _ connection: OpaquePointer
    ) -> Result<ByteString, NotFound> {
        func failed(_ text: String, _ result: Int32) -> Result<ByteString, NotFound> {
            let reason = said(text, server, result, connection)
            return .failure(
                NotFound(answer: cldap_is_unreachable(result) != 0 ? .unreachable(reason) : .refused(reason)))
        }
        let bound = search.bindPassword.withView { bind(connection, search.bindName, $0) }
        guard bound == cldap_success else {
            let name = search.bindName.lossyText
            return failed("could not perform initial LDAP bind for ldapbinddn \"\(name)\" on server ", bound)
        }
        let filter = search.filter(for: user)
        let scope =
            switch search.scope {
            case .base: cldap_base
            case .oneLevel: cldap_one_level
            case .subtree: cldap_subtree
            }
        var name: UnsafeMutablePointer<CChar>?
        let result = search.base.withCString { base in
            filter.withCString { cldap_find(connection, base, scope, $0, stepSeconds, &name) }
        }
        if result == cldap_success, let name {
            defer { ldap_memfree(name) }
            let entry = ByteString(ByteView(UnsafeRawBufferPointer(start: name, count: strlen(name))))
            // Without a name a bind would be nobody's.
            if !entry.isEmpty { return .success(entry) }
            return .failure(NotFound(answer: .refused("LDAP search found an entry without a name")))
        }
        switch result {
        case cldap_none:
            return .failure(
                NotFound(answer: .refused(ByteString("LDAP user \"\(user.lossyText)\" does not exist"))))
        case cldap_several:
            return .failure(
                NotFound(answer: .refused(ByteString("LDAP user \"\(user.lossyText)\" is not unique"))))
        default:
            return failed("could not search LDAP for filter \"\(filter.lossyText)\" on server ", result)
        }
    }

    private static func bind(_ connection: OpaquePointer, _ name: ByteString, _ password: ByteView) -> Int32 {
        name.withCString { cldap_bind(connection, $0, password.base, password.count) }
    }

    private static func said(
        _ text: String, _ server: ByteString, _ result: Int32, _ connection: OpaquePointer?
    ) -> ByteString {
        var text = text + server.lossyText + ": " + String(cString: ldap_err2string(result))
        if let connection, let words = cldap_words(connection) {
            if words.pointee != 0 { text += " (" + String(cString: words) + ")" }
            ldap_memfree(words)
        }
        return ByteString(text)
    }
}
