import Auth
import Config
import Pool
import Primitives
import Session
import Wire

/// From the first byte of a client to its first ReadyForQuery (manual: "Start-up", "Protocol Version
/// Negotiation").
extension Switchboard {
    /// The newest protocol spoken here, 3.2; older clients get 3.0.
    static let newestMinorVersion: UInt16 = 2
    /// The pseudo-database of the admin console, and the user that needs no password on our own unix socket.
    static let consoleName: ByteString = "pgbouncer"

    /// Bytes of a client that is not in the traffic of queries. The number of bytes consumed.
    mutating func handshake(
        _ bytes: ByteView, from client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Int {
        var offset = 0
        while offset < bytes.count, clients.contains(client), clients[client].holds.isEmpty {
            let rest = bytes.slice(offset)
            let consumed: Int
            switch clients[client].phase {
            case .startup where clients[client].awaitsHeader:
                consumed = introduction(rest, of: client, now: now, into: &actions)
            case .startup:
                consumed = firstPacket(rest, from: client, now: now, into: &actions)
            case .authenticating:
                consumed = passwordMessage(rest, from: client, now: now, into: &actions)
            case .console:
                consumed = consoleMessage(rest, from: client, now: now, into: &actions)
            case .awaitingWelcome:
                consumed = 0
            case .cancelRequest:
                return bytes.count
            case .idle, .waiting, .active, .skipping:
                return requests(bytes, startingAt: offset, from: client, now: now, into: &actions)
            case .replicating:
                return replicationRequests(
                    bytes, startingAt: offset, from: client, now: now, into: &actions)
            }
            if consumed == 0 { break }
            offset += consumed
        }
        return clients.contains(client) ? offset : bytes.count
    }

    // MARK: The first packet

    private mutating func firstPacket(
        _ bytes: ByteView, from client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Int {
        let (packet, length) = StartupPacket.read(bytes)
        switch packet {
        case .incomplete:
            return 0
        case .sslRequest:
            return encryptionRequest(
                bytes, \.sslAsked, .encryptedRequestTail, from: client, now, into: &actions)
        case .gssRequest:
            return encryptionRequest(bytes, \.gssAsked, .gssRequestTail, from: client, now, into: &actions)
        case .startup where tlsForClients.demandsTLS && mayEncrypt(client):
            refuse(client, .tlsRequired, now: now, into: &actions)
            return bytes.count
        case .directTLS where tlsForClients != .disable && mayEncrypt(client):
            actions.startTLS(.client(client), isDirect: true)
            return 0
        case .cancel(let processID, let secret):
            if let worker = worker(named: processID), !isOfPeer(processID: processID) {
                pass(client, bytes.slice(0, length), to: worker, into: &actions)
                return bytes.count
            }
            cancelRequested(processID: processID, secret: secret, by: client, now: now, into: &actions)
            return length
        case .startup(let minor, let parameters):
            // A server is opened for one client only by who opens them for all.
            if crew.isMate, wantsConsole(parameters) || wantsReplication(parameters) {
                pass(client, bytes, to: .keeper, into: &actions)
                return bytes.count
            }
            startup(minor: minor, parameters, from: client, now: now, into: &actions)
            return length
        case .oldProtocol:
            refuse(client, .oldProtocol, now: now, into: &actions)
        case .message(kind: ClientMessageKind.password.rawValue):
            refuse(client, .earlyPassword, now: now, into: &actions)
        case .message where refusesHeader(bytes, from: client, now: now, into: &actions):
            break
        case .directTLS, .message:
            forget(client, because: "bad packet", told: false, now: now, into: &actions)
            actions.append(.drop(.client(client)))
        case .unknown:
            refuse(client, .badHeader(bytes), now: now, into: &actions)
        }
        return bytes.count
    }

    private mutating func startup(
        minor: UInt16, _ body: ByteView, from client: ClientID, now: Instant, into actions: inout ActionList
    ) {
        guard var pairs = StartupParameters(body) else {
            return refuse(client, .startupLayout, now: now, into: &actions)
        }
        let login = clients[client].login ?? ClientLogin()
        clients[client].login = login
        login.minorVersion = minor >= Self.newestMinorVersion ? Self.newestMinorVersion : 0
        login.replication = replication(in: pairs)
        var unknownOptions: [ByteString] = []
        while let (name, value) = pairs.next() {
            if let refusal = startupParameter(name, value, of: client, login, &unknownOptions) {
                log(
                    .warning, client,
                    ByteString("unsupported startup parameter: ").appending(name).appending("=").appending(
                        value),
                    into: &actions)
                return refuse(client, refusal, now: now, into: &actions)
            }
        }
        if login.user.isEmpty { return refuse(client, .noUser, now: now, into: &actions) }
        if login.user.count >= 128 {
            log(
                .log, client,
                ByteString("login failed: db=").appending(login.database).appending(" user=")
                    .appending(login.user), into: &actions)
            return refuse(client, .longUser, now: now, into: &actions)
        }
        if login.database.isEmpty { login.database = login.user }
        if minor > Self.newestMinorVersion || minor == 1 || !unknownOptions.isEmpty {
            actions.send(to: .client(client)) {
                $0.message(.negotiateProtocolVersion) {
                    $0.append(uint32: 3 << 16 | UInt32(login.minorVersion))
                    $0.append(uint32: UInt32(unknownOptions.count))
                    for option in unknownOptions { $0.append(cString: option) }
                }
            }
        }
        identify(client, login, now: now, into: &actions)
    }

    /// The replication connection that is asked for, if one is. The last of several counts.
    func replication(in pairs: StartupParameters) -> Replication? {
        var pairs = pairs
        var wish = Replication.Wish.none
        while let (name, value) = pairs.next() {
            if name.equals("replication"), let latest = Replication.Wish(value) { wish = latest }
        }
        switch wish {
        case .none: return nil
        case .kind(let kind): return Replication(kind)
        }
    }

    /// One name and value of the StartupMessage. The last of several with one name counts.
    private mutating func startupParameter(
        _ name: ByteView, _ value: ByteView, of client: ClientID, _ login: ClientLogin,
        _ unknownOptions: inout [ByteString]
    ) -> Refusal? {
        if name.equals("user") {
            login.user = ByteString(value)
        } else if name.equals("database") {
            login.database = ByteString(value)
        } else if name.equals("options"), let replication = login.replication {
            // Its server is nobody else's, and understands them all.
            replication.options = ByteString(value)
        } else if name.equals("options") {
            return startupOptions(value, of: client, login)
        } else if name.hasPrefix("_pq_.") {
            unknownOptions.append(ByteString(name))
        } else if name.equals("replication") {
            // Known already, because it decides what other parameters may be.
            return Replication.Wish(value) == nil ? .replicationValue(value) : nil
        } else if parameters.startupIndex(name) != nil {
            wish(name, value, login, addingHostOf: client)
        } else if !ignores(name) {
            return .unsupportedParameter(name)
        }
        return nil
    }

    private func ignores(_ name: ByteView) -> Bool {
        snapshot.global.ignoreStartupParameters.contains { $0.equals(name) }
    }

    private mutating func wish(
        _ name: ByteView, _ value: ByteView, _ login: ClientLogin, addingHostOf client: ClientID
    ) {
        guard let index = parameters.startupIndex(name) else { return }
        if login.wishes == nil {
            parameters.hold(again: parameters.empty)
            login.wishes = parameters.empty
        }
        var value = ByteString(value)
        if snapshot.global.applicationNameAddHost, name.equals("application_name") {
            let name = value.isEmpty ? "app" : value
            value = name.appending(" - ").appending(clients[client].peer.text(local: clients[client].local))
        } else if name.equals("client_encoding"), Self.meansUTF8(value) {
            value = "UTF8"
        }
        if let wishes = login.wishes {
            login.wishes = value.withView { parameters.replacing(wishes, at: index, with: $0) }
        }
    }

    /// The ways to write what nearly everybody asks for. PostgreSQL reports its own, so the client is told
    /// that at once, and no server need be (manual: "Character Set Support").
    private static func meansUTF8(_ name: ByteString) -> Bool {
        let plain = ByteString(name.bytes.filter { $0.isIdentifierByte && $0 != 0x5F && $0 != 0x2E })
        return ["utf8", "unicode"].contains { plain.equalsIgnoringASCIICase($0) }
    }

    /// `-c name=value`, `-cname=value` and `--name=value`, with backslash escapes (manual: "options" in
    /// libpq).
    private mutating func startupOptions(
        _ text: ByteView, of client: ClientID, _ login: ClientLogin
    ) -> Refusal? {
        var words = OptionWords(text)
        while let word = words.next() {
            guard let (name, value) = word.setting(next: { words.next() }) else {
                return ignores("options") ? nil : .options
            }
            let isFollowed = name.withView { parameters.startupIndex($0) != nil }
            if isFollowed {
                name.withView { name in value.withView { wish(name, $0, login, addingHostOf: client) } }
            } else if !ignores("options"), !name.withView({ ignores($0) }) {
                return name.withView { .unsupportedOption($0) }
            }
        }
        return nil
    }

    private func ignores(_ name: ByteString) -> Bool { name.withView { ignores($0) } }

    // MARK: Who it is

    mutating func identify(
        _ client: ClientID, _ login: ClientLogin, now: Instant, into actions: inout ActionList
    ) {
        let isConsole = login.database == Self.consoleName
        let known = login.database.withView { databaseNames.value($0) }
        clients[client].database = known
        if let user = login.user.withView({ userNames.value($0) }) { clients[client].user = user }
        if snapshot.global.logConnections, !clients[client].isGuest {
            log(
                .log, client,
                ByteString("login attempt: db=").appending(login.database).appending(" user=")
                    .appending(login.user).appending(" tls=")
                    .appending(clients[client].encryption?.text ?? "no").appending(" replication=")
                    .appending(login.replication?.kind.inLog ?? "no"), into: &actions)
        }
        if isConsole, isShutOut(clients[client].peer, now: now) {
            return refuse(client, .shutOutAddress, now: now, into: &actions)
        }
        if !isConsole {
            if !crew.isAlone {
                guard isGuest(client, login, now: now, into: &actions) else { return }
            } else if clients.count - cancelRequests - consoleClients > snapshot.global.maxClientConn {
                return refuse(client, .maxClients, now: now, into: &actions)
            } else if !clients[client].isGuest {
                if let refusal = enterAddress(clients[client].peer, now: now) {
                    return refuse(client, refusal, now: now, into: &actions)
                }
                clients[client].isGuest = true
            }
        }
        if isConsole, isConsoleOwner(client, login) {
            login.isConsoleOwner = true
            log(.log, client, "pgbouncer access from unix socket", into: &actions)
            return admit(client, now: now, into: &actions)
        }
        prove(client, login, now: now, into: &actions)
    }

    private func isConsoleOwner(_ client: ClientID, _ login: ClientLogin) -> Bool {
        login.user == Self.consoleName && clients[client].peer.family == .unix
            && clients[client].peer.userID == process.userID
    }

    // MARK: Where it may go

    /// The client is who it says: find its pool and greet it, or say why not.
    mutating func admit(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        guard let login = clients[client].login else { return }
        isNoStranger(client)
        if login.database == Self.consoleName {
            return admitToConsole(client, login, now: now, into: &actions)
        }
        if shutdown != .none { return refuse(client, .shuttingDown, now: now, into: &actions) }
        guard let database = findDatabase(login.database, now: now, into: &actions) else {
            log(
                .log, client,
                ByteString("login failed: db=").appending(login.database).appending(" user=")
                    .appending(login.user), into: &actions)
            return refuse(client, .noDatabase(login.database), now: now, into: &actions)
        }
        clients[client].database = database
        if databases[database].isDisabled {
            return refuse(client, .disabledDatabase(login.database), now: now, into: &actions)
        }
        let forced = databases[database].entry.user
        if snapshot.global.authType == .any {
            guard let forced else {
                log(.error, client, "auth_type=any requires forced user", into: &actions)
                return refuse(client, .badConfiguration, now: now, into: &actions)
            }
            login.user = forced
        }
        guard let user = findUser(login.user), let serverUser = findUser(forced ?? login.user),
            let pool = findPool(database, serverUser, now: now)
        else { return refuse(client, .outOfRoom, now: now, into: &actions) }
        if let secret = login.lookedUp {
            if pools[pool].user == user { keep(secret, login.keys, in: pool) }
        } else if let keys = login.keys {
            users[user].keys = keys
        }
        clients[client].user = user
        if crew.isMate { return askToEnter(client, login, database, user, serverUser, into: &actions) }
        if let refusal = clientLimit(database, user) {
            return refuse(client, refusal, now: now, into: &actions)
        }
        settle(client, database, user, in: pool, now: now, into: &actions)
    }

    /// A client that may have a place in this pool gets it.
    mutating func settle(
        _ client: ClientID, _ database: DatabaseID, _ user: UserID, in pool: PoolID, now: Instant,
        into actions: inout ActionList
    ) {
        clients[client].pool = pool
        databases[database].clients += 1
        databases[database].lastUsed = now
        users[user].clients += 1
        pools[pool].clients += 1
        if let replication = clients[client].login?.replication {
            clients[client].replication = replication
            startReplication(client, replication, in: pool, now: now, into: &actions)
        } else if pools[pool].welcome != nil {
            greet(client, now: now, into: &actions)
            keepUp(pool, now: now, into: &actions)
        } else {
            clients[client].phase = .awaitingWelcome
            hold(client, .login, into: &actions)
            enqueue(client, now: now, into: &actions)
        }
    }

    /// Why one client more of this database and user would be too many.
    func clientLimit(_ database: DatabaseID, _ user: UserID) -> Refusal? {
        let perDatabase =
            databases[database].entry.maxDbClientConnections ?? snapshot.global.maxDbClientConnections
        if perDatabase > 0, databases[database].clients >= perDatabase { return .maxDatabaseClients }
        return userLimit(user)
    }

    private func userLimit(_ user: UserID) -> Refusal? {
        let line = snapshot.user(named: users[user].name)
        let perUser = line?.maxUserClientConnections ?? snapshot.global.maxUserClientConnections
        return perUser > 0 && users[user].clients >= perUser ? .maxUserClients : nil
    }

    private mutating func admitToConsole(
        _ client: ClientID, _ login: ClientLogin, now: Instant, into actions: inout ActionList
    ) {
        let global = snapshot.global
        let isAdmin = login.isConsoleOwner || global.adminUsers.contains(login.user)
        let anybody = global.authType == .any
        guard isAdmin || anybody || global.statsUsers.contains(login.user), let user = findUser(login.user)
        else { return refuse(client, .notAllowed, now: now, into: &actions) }
        let database = Self.consoleName.withView { databaseNames.value($0) }
        if !isAdmin, let database, let refusal = clientLimit(database, user) {
            return refuse(client, refusal, now: now, into: &actions)
        }
        clients[client].user = user
        clients[client].database = database
        leaveAddress(client)
        clients[client].consoleRights = isAdmin ? .admin : .stats
        clients[client].phase = .console
        if let wishes = login.wishes {
            var isNextProcess = false
            parameters.forEach(in: wishes) { name, value in
                if name == "application_name", value == Heirloom.applicationName { isNextProcess = true }
            }
            clients[client].knowsHeirlooms = isNextProcess
            parameters.letGo(wishes)
        }
        clients[client].login = nil
        consoleClients += 1
        users[user].clients += 1
        if let database = clients[client].database { databases[database].clients += 1 }
        giveKey(client, minorVersion: login.minorVersion)
        countConsoleLogin()
        let version = process.version.appending("/bouncer")
        let key = backendKey(client)
        actions.send(to: .client(client)) {
            $0.authentication(.ok)
            $0.parameterStatus("server_version", version)
            $0.parameterStatus("client_encoding", "UTF8")
            $0.parameterStatus("server_encoding", "UTF8")
            $0.parameterStatus("DateStyle", "ISO")
            $0.parameterStatus("TimeZone", "GMT")
            $0.parameterStatus("standard_conforming_strings", "on")
            $0.parameterStatus("is_superuser", "on")
            $0.message(.backendKeyData) { $0.append(key) }
            $0.readyForQuery(.idle)
        }
    }

    /// The answer to a login: AuthenticationOk, the server's parameters with the client's own values, its
    /// key.
    mutating func greet(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        guard let pool = clients[client].pool, let welcome = pools[pool].welcome else { return }
        let login = clients[client].login
        let set: ParameterSetID
        if let wishes = login?.wishes {
            set = parameters.overlay(wishes, on: welcome.base)
            parameters.letGo(wishes)
            login?.wishes = nil
        } else {
            parameters.hold(again: welcome.base)
            set = welcome.base
        }
        parameters.letGo(clients[client].parameters)
        clients[client].parameters = set
        sendGreeting(to: client, fixed: welcome.fixed, now: now, into: &actions)
        clients[client].login = nil
        clients[client].phase = .idle
        clients[client].requestAt = now
        pools[pool].counters.clientLogins &+= 1
        watchIdle(client, now: now)
        unhold(client, .login, into: &actions)
        holdIfSuspended(client, into: &actions)
    }

    /// AuthenticationOk and what goes with it, with the client's parameters as they are in force.
    mutating func sendGreeting(
        to client: ClientID, fixed: [(name: ByteString, value: ByteString)], now: Instant,
        into actions: inout ActionList
    ) {
        let set = clients[client].parameters
        giveKey(client, minorVersion: clients[client].login?.minorVersion ?? 0)
        let key = backendKey(client)
        let notice = snapshot.global.loginNotifyMessage
        actions.send(to: .client(client)) {
            $0.authentication(.ok)
            for (name, value) in fixed { $0.parameterStatus(name, value) }
            Self.writeParameters(set, of: parameters, into: &$0)
            $0.message(.backendKeyData) { $0.append(key) }
            if !notice.isEmpty {
                $0.report(.noticeResponse, severity: "NOTICE", state: "00000", text: notice)
            }
            $0.readyForQuery(.idle)
        }
    }

    private static func writeParameters(
        _ set: ParameterSetID, of table: borrowing ParameterTable, into buffer: inout ByteBuffer
    ) {
        table.forEach(in: set) { buffer.parameterStatus($0, $1) }
    }

    // MARK: Cancel keys

    private mutating func giveKey(_ client: ClientID, minorVersion: UInt16) {
        var key: UInt64
        repeat {
            key = entropy.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } & 0x7FFF_FFFF_FFFF_FFFF
            if !crew.isAlone { key = key & 0x00FF_FFFF_FFFF_FFFF | UInt64(crew.me.index) << 56 }
            if isPeering { key = marked(key) }
        } while key >> 32 == 0 || cancelKeys[key] != nil
        cancelKeys[key] = client
        clients[client].key = key
        // PgBouncer passes on requests with short secrets only.
        if minorVersion >= 2, !isPeering { clients[client].longSecret = ByteString(entropy.bytes(28)) }
    }

    private func backendKey(_ client: ClientID) -> ByteString {
        let key = clients[client].key
        let bytes = (0..<8).map { UInt8(truncatingIfNeeded: key >> (56 - UInt64($0) * 8)) }
        return ByteString(bytes + (clients[client].longSecret?.bytes ?? []))
    }
}

extension Replication.Kind {
    /// As the log of logins names it.
    fileprivate var inLog: ByteString { self == .physical ? "yes" : "database" }
}

/// Splits the text of `options` into words: blanks separate, a backslash takes the next byte as it is.
private struct OptionWords {
    private let text: ByteView
    private var offset = 0

    init(_ text: ByteView) { self.text = text }

    mutating func next() -> ByteString? {
        while let byte = text[offset], byte == 0x20 || (0x09...0x0D).contains(byte) { offset += 1 }
        guard text[offset] != nil else { return nil }
        var word: [UInt8] = []
        while let byte = text[offset], byte != 0x20, !(0x09...0x0D).contains(byte) {
            offset += 1
            if byte == 0x5C, let escaped = text[offset] {
                word.append(escaped)
                offset += 1
            } else {
                word.append(byte)
            }
        }
        return ByteString(word)
    }
}

extension ByteString {
    /// The name and value of one option; `next` gives the word behind a lone `-c`.
    fileprivate func setting(next: () -> ByteString?) -> (ByteString, ByteString)? {
        var text = bytes
        if text == Array("-c".utf8) {
            guard let word = next() else { return nil }
            text = word.bytes
        } else if text.starts(with: Array("-c".utf8)) || text.starts(with: Array("--".utf8)) {
            text.removeFirst(2)
        } else {
            return nil
        }
        guard let equals = text.firstIndex(of: 0x3D), equals > 0 else { return nil }
        // In `--name=value` a dash stands for an underscore, as in PostgreSQL.
        let name = text[..<equals].map { $0 == 0x2D ? 0x5F : $0 }
        return (ByteString(Array(name)), ByteString(Array(text[(equals + 1)...])))
    }
}
