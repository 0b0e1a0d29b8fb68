import Auth
import Config
import Primitives
import Session
import Wire

/// Where the password of a server's user comes from when it is not written down: what a program prints
/// (`password_command`), or what stands in a file (`password_file`).
enum PasswordSource: Hashable {
    case command(ByteString)
    case file(ByteString)

    var job: SideJob {
        switch self {
        case .command(let command): .run(command, limit: Limits.passwordCommandTime)
        case .file(let path): .read(path)
        }
    }

    /// The setting, for the log. What a command looks like is nobody's business: it may hold a secret.
    var setting: ByteString {
        switch self {
        case .command: "password_command"
        case .file: "password_file"
        }
    }
}

/// What a source has said.
struct SourcedPassword {
    var secret: Secret?
    var fetchedAt = Instant.zero
    var isBeingFetched = false
    /// Servers that have been asked for a password and have none yet.
    var waiting: [ServerID] = []
}

extension Switchboard {
    /// Where the password of this pool's servers comes from: the database's line first, then the user's.
    func passwordSource(of pool: PoolID) -> PasswordSource? {
        let entry = databases[pools[pool].database].entry
        let name = users[pools[pool].user].name
        if entry.password != nil, entry.user == name { return nil }
        if let command = entry.passwordCommand { return .command(command) }
        if let file = entry.passwordFile { return .file(file) }
        let line = snapshot.user(named: name)
        if let command = line?.passwordCommand { return .command(command) }
        return line?.passwordFile.map { .file($0) }
    }

    /// A server asks for a password. `true`: it comes from a source that has to be asked first; the server is
    /// held, and its message is to be left where it is.
    mutating func mustFetchPassword(
        _ server: ServerID, for body: ByteView, now: Instant, into actions: inout ActionList
    ) -> Bool {
        guard let login = servers[server].login, !login.hasPassword,
            body.uint32(at: 0) != AuthenticationRequest.ok.rawValue,
            let source = passwordSource(of: servers[server].pool)
        else { return false }
        var known = sourcedPasswords[source] ?? SourcedPassword()
        defer { sourcedPasswords[source] = known }
        let age = now.since(known.fetchedAt)
        let isDue = known.secret == nil || age >= Limits.passwordRefreshAge
        if isDue, !known.isBeingFetched {
            known.isBeingFetched = true
            ask(source.job, for: .password(source))
        }
        if let secret = known.secret, age < Limits.passwordLifetime {
            login.hasPassword = true
            let user = users[pools[servers[server].pool].user].name
            login.auth = ServerAuth(
                user: user, credential: .secret(secret), binding: servers[server].encryption?.binding)
            return false
        }
        known.waiting.append(server)
        hold(server, .login, into: &actions)
        return true
    }

    /// A program has ended, or a file has been read.
    mutating func passwordFetched(
        _ source: PasswordSource, _ result: SideResult, now: Instant, into actions: inout ActionList
    ) {
        var known = sourcedPasswords[source] ?? SourcedPassword()
        let waiting = known.waiting
        known.waiting = []
        known.isBeingFetched = false
        let problem = Self.take(result, into: &known, now: now)
        sourcedPasswords[source] = known
        if let problem {
            log(
                .error, source.setting.appending(" gave no password: ").appending(problem), into: &actions)
        }
        for server in waiting where servers.contains(server) {
            if problem == nil {
                unhold(server, .login, into: &actions)
            } else {
                loginFailed(server, .noServerPassword, now: now, into: &actions)
                closeServer(server, because: Refusal.noServerPassword.text, now: now, into: &actions)
            }
        }
    }

    /// Why the result is no password; a password that is still good stays when a new one cannot be had.
    private static func take(
        _ result: SideResult, into known: inout SourcedPassword, now: Instant
    ) -> ByteString? {
        switch result {
        case .keys, .allowed: return "unexpected result"
        case .failed(let why): return why
        case .text(let text):
            var bytes = text.bytes
            if bytes.last == 0x0A { bytes.removeLast() }
            if bytes.last == 0x0D { bytes.removeLast() }
            if bytes.isEmpty { return "it is empty" }
            if bytes.count > Limits.lookedUpSecretBytes { return "it is too long" }
            if bytes.contains(0) { return "it contains a zero byte" }
            known.secret = Secret(ByteString(bytes))
            known.fetchedAt = now
            return nil
        }
    }

    /// PostgreSQL did not take it: the next server asks its source again.
    mutating func dropPassword(of pool: PoolID) {
        guard let source = passwordSource(of: pool) else { return }
        sourcedPasswords[source]?.secret = nil
    }

    /// A reload asks every source again.
    mutating func dropPasswords() {
        for source in sourcedPasswords.keys {
            if sourcedPasswords[source]?.isBeingFetched == true {
                sourcedPasswords[source]?.secret = nil
            } else {
                sourcedPasswords[source] = nil
            }
        }
    }
}
