import Auth
import Config
import Primitives
import Session
import Wire

/// Whether a client is who it says it is: which method, whose secret, and what failure says.
extension Switchboard {
    /// What every failed login says when auth_query is asked for unknown names, so that nobody can tell a
    /// wrong password from a wrong name.
    private static let failureDetail: ByteString = "There is no such user, or the password does not match."

    /// Finds out how this client must prove who it is, and begins.
    mutating func prove(
        _ client: ClientID, _ login: ClientLogin, now: Instant, into actions: inout ActionList
    ) {
        switch snapshot.global.authType {
        case .any: return admit(client, now: now, into: &actions)
        case .trust: login.method = .trust
        case .plain: login.method = .plain
        case .md5: login.method = .md5
        case .scramSHA256: login.method = .scram
        case .hba: return proveByRule(client, login, now: now, into: &actions)
        case .cert: return proveByCertificate(client, login, now: now, into: &actions)
        case .ldap:
            guard let options = snapshot.global.authLDAPOptions else {
                return refuse(client, .noLDAPOptions, now: now, into: &actions)
            }
            return askForPassword(client, login, .ldap(options), now: now, into: &actions)
        case .pam:
            let judge = PasswordJudge.pam(service: AccessMethod.pamService)
            return askForPassword(client, login, judge, now: now, into: &actions)
        }
        findSecret(client, login, now: now, into: &actions)
    }

    /// The first line of the HBA file that fits says how.
    private mutating func proveByRule(
        _ client: ClientID, _ login: ClientLogin, now: Instant, into actions: inout ActionList
    ) {
        let peer = clients[client].peer
        let rule: AccessRule
        switch snapshot.access.decide(
            for: login.user, database: login.database, from: peer, host: login.host,
            isEncrypted: clients[client].encryption != nil,
            isPhysicalReplication: login.replication?.kind == .physical)
        {
        case .rule(let found): rule = found
        case .dependsOnHost:
            return ask(.hostName(peer), for: .hostName(of: client), of: client, into: &actions)
        case .nothing:
            log(
                .error, client,
                ByteString("login rejected: no line of the HBA file fits user=").appending(login.user)
                    .appending(" db=").appending(login.database).appending(login.host.inLog), into: &actions)
            return refuse(client, .noMethod, now: now, into: &actions)
        }
        login.rule = ByteString("hba line ").appending(ByteString("\(rule.line)")).appending(" of ")
            .appending(rule.file).appending(", method ").appending(rule.method.name)
        switch rule.method {
        case .trust: login.method = .trust
        case .password: login.method = .plain
        case .md5: login.method = .md5
        case .scramSHA256: login.method = .scram
        case .reject:
            logRule("login rejected", login, client, into: &actions)
            return refuse(client, .rejectedByRule, now: now, into: &actions)
        case .ldap(let options):
            return askForPassword(client, login, .ldap(options), now: now, into: &actions)
        case .pam(let service):
            return askForPassword(client, login, .pam(service: service), now: now, into: &actions)
        case .cert:
            login.map = rule.map
            return proveByCertificate(client, login, now: now, into: &actions)
        case .peer:
            login.method = .trust
            login.map = rule.map
            return ask(
                .systemUser(peer.userID), for: .systemUser(of: client), of: client, into: &actions)
        }
        findSecret(client, login, now: now, into: &actions)
    }

    /// The common name of the client's certificate is its role, or may be it by a map.
    private mutating func proveByCertificate(
        _ client: ClientID, _ login: ClientLogin, now: Instant, into actions: inout ActionList
    ) {
        let reason: ByteString
        if let encryption = clients[client].encryption {
            if let name = encryption.peerName {
                if snapshot.access.maps.allows(name, as: login.user, by: login.map) {
                    login.method = .trust
                    return findSecret(client, login, now: now, into: &actions)
                }
                reason =
                    login.map.map {
                        ByteString("ident map ").appending($0).appending(" does not have a match: ")
                    }?.appending(name) ?? ByteString("TLS certificate name mismatch: ").appending(name)
            } else {
                reason = "TLS client certificate required"
            }
        } else {
            reason = "TLS connection required"
        }
        loginFailed(from: clients[client].peer, now: now, into: &actions)
        logRule(reason, login, client, into: &actions)
        refuse(client, .certificateRejected, now: now, into: &actions)
    }

    /// For `peer`: whether the user of the system who connected may be this role.
    mutating func systemUserKnown(
        _ client: ClientID, _ result: SideResult, now: Instant, into actions: inout ActionList
    ) {
        guard let login = clients[client].login else { return }
        var reason: ByteString
        switch result {
        case .text(let name):
            if snapshot.access.maps.allows(name, as: login.user, by: login.map) {
                return findSecret(client, login, now: now, into: &actions)
            }
            reason = ByteString("system user ").appending(name).appending(" may not be ")
                .appending(login.user)
            if let map = login.map {
                reason = ByteString("ident map ").appending(map).appending(" cannot be matched: ")
                    .appending(reason)
            }
        case .failed(let why):
            reason = ByteString("the system user is not known: ").appending(why)
        case .keys, .allowed:
            reason = "the system user is not known"
        }
        logRule(reason, login, client, into: &actions)
        refuse(client, .peerRejected, now: now, into: &actions)
    }

    private mutating func logRule(
        _ reason: ByteString, _ login: ClientLogin, _ client: ClientID, into actions: inout ActionList
    ) {
        let rule = login.rule ?? ByteString("auth_type ").appending(snapshot.global.authType.name)
        log(.error, client, reason.appending(" (").appending(rule).appending(")"), into: &actions)
    }

    /// The name of the client's host is known, or that it has none: the rules are asked again.
    mutating func hostKnown(
        _ client: ClientID, _ result: SideResult, now: Instant, into actions: inout ActionList
    ) {
        guard let login = clients[client].login else { return }
        if case .text(let name) = result { login.host = .name(name) } else { login.host = .nameless }
        proveByRule(client, login, now: now, into: &actions)
    }

    // MARK: Passwords that others judge

    /// For `ldap` and `pam`: the client is asked for its password in clear text.
    private mutating func askForPassword(
        _ client: ClientID, _ login: ClientLogin, _ judge: PasswordJudge, now: Instant,
        into actions: inout ActionList
    ) {
        login.method = .judged
        login.judge = judge
        ask(client, login, nil, now: now, into: &actions)
    }

    /// The password is there.
    private mutating func judge(_ client: ClientID, _ password: Secret, into actions: inout ActionList) {
        guard let login = clients[client].login, let judge = login.judge else { return }
        login.lookedUp = password
        let job: SideJob =
            switch judge {
            case .ldap(let options): .ldap(options, user: login.user, password: password)
            case .pam(let service):
                .pam(
                    service: service, user: login.user, password: password,
                    host: ByteString(clients[client].peer.host))
            }
        ask(job, for: .verdict(on: client), of: client, into: &actions)
    }

    /// Whether it is right. If it is, servers may ask for it as well, as in PgBouncer.
    mutating func judged(
        _ client: ClientID, _ result: SideResult, now: Instant, into actions: inout ActionList
    ) {
        guard let login = clients[client].login, let judge = login.judge else { return }
        let reason: ByteString
        switch result {
        case .allowed: return admit(client, now: now, into: &actions)
        case .failed(let why): reason = why
        case .keys, .text: reason = "there is no verdict"
        }
        login.lookedUp = nil
        logRule(reason, login, client, into: &actions)
        loginFailed(from: clients[client].peer, now: now, into: &actions)
        switch judge {
        case .ldap: refuse(client, .rejectedByLDAP, now: now, into: &actions)
        case .pam: refuse(client, .rejectedByPAM, now: now, into: &actions)
        }
    }

    /// The user's secret from auth_file, or else from auth_query.
    private mutating func findSecret(
        _ client: ClientID, _ login: ClientLogin, now: Instant, into actions: inout ActionList
    ) {
        let place = lookupPlace(for: login, now: now, into: &actions)
        if case .none = place {} else { login.mayBeLookedUp = true }
        if let secret = clients[client].user.flatMap({ users[$0].secret }) {
            return ask(client, login, secret, now: now, into: &actions)
        }
        switch place {
        case .none:
            if login.method == .trust {
                log(.log, client, ByteString("no such user: ").appending(login.user), into: &actions)
            }
            ask(client, login, nil, now: now, into: &actions)
        case .refused(let refusal, let reason):
            if !reason.isEmpty { log(.error, client, reason, into: &actions) }
            refuse(client, refusal, now: now, into: &actions)
        case .key(let key, let pool):
            startLookup(client, key, in: pool, now: now, into: &actions)
        }
    }

    /// auth_query has answered.
    mutating func lookedUp(
        _ client: ClientID, _ answer: LookupAnswer, by lookup: LookupID, now: Instant,
        into actions: inout ActionList
    ) {
        guard let login = clients[client].login else { return }
        login.usedLookup = lookup
        if login.isRepeated, let auth = login.auth {
            // What the client has sent is offered again, and now counts.
            login.lookedUp = if case .secret(let secret) = answer { secret } else { nil }
            if case .failed(let refusal) = answer {
                return refuse(client, refusal, now: now, into: &actions)
            }
            login.auth = auth.against(login.lookedUp)
            return
        }
        switch answer {
        case .secret(let secret):
            login.lookedUp = secret
            ask(client, login, secret, now: now, into: &actions)
        case .expired:
            if login.method == .trust { return admit(client, now: now, into: &actions) }
            ask(client, login, nil, now: now, into: &actions)
        case .unknown:
            if login.method == .trust { return refuse(client, .noSuchUser, now: now, into: &actions) }
            login.isUnknown = true
            ask(client, login, nil, now: now, into: &actions)
        case .failed(let refusal):
            refuse(client, refusal, now: now, into: &actions)
        }
    }

    /// Asks the client for its proof. Without a secret it is asked all the same, and fails.
    private mutating func ask(
        _ client: ClientID, _ login: ClientLogin, _ secret: Secret?, now: Instant,
        into actions: inout ActionList
    ) {
        var auth = ClientAuth(
            method: login.method, user: login.user, secret: secret, instance: instance,
            iterations: snapshot.global.scramIterations,
            derivesForNobody: secret == nil && login.usedLookup != nil,
            binding: clients[client].encryption?.binding)
        var step = ClientAuthStep.waiting
        actions.send(to: .client(client)) { step = auth.begin(entropy: &entropy, into: &$0) }
        login.auth = auth
        clients[client].phase = .authenticating
        authenticated(client, step, now: now, into: &actions)
    }

    /// Bytes of a client that is proving who it is. The number consumed.
    mutating func passwordMessage(
        _ bytes: ByteView, from client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Int {
        guard let login = clients[client].login, var auth = login.auth else { return 0 }
        if bytes[0] == 0, bytes.count >= 5 {
            refuse(client, .repeatedStartup, now: now, into: &actions)
            return bytes.count
        }
        switch bytes.frame(at: 0, limitBytes: UInt32(clamping: snapshot.global.maxPacketSize)) {
        case .incomplete:
            return 0
        case .malformed:
            refuse(client, .badHeader(bytes), now: now, into: &actions)
            return bytes.count
        case .header(let header):
            guard header.kind == ClientMessageKind.password.rawValue else {
                refuse(client, .badHeader(bytes), now: now, into: &actions)
                return bytes.count
            }
            let bodyBytes = header.messageBytes - FrameHeader.byteCount
            if bodyBytes > auth.bodyLimitBytes {
                authenticated(client, .rejected(auth.failureOverLimit), now: now, into: &actions)
                return bytes.count
            }
            guard bytes.count >= header.messageBytes else { return 0 }
            var step = ClientAuthStep.waiting
            let body = bytes.slice(FrameHeader.byteCount, bodyBytes)
            let isTyped = auth.takesTypedPassword
            if mustWait(.client(client), for: auth.derivation(for: body), isTyped: isTyped, into: &actions) {
                return 0
            }
            actions.send(to: .client(client)) {
                step =
                    isTyped
                    ? auth.received(body, entropy: &entropy, cache: &typedKeys, into: &$0)
                    : auth.received(body, entropy: &entropy, cache: &scramCache, into: &$0)
            }
            if case .rejected(.password(.wrongPassword)) = step,
                askAgain(client, login, now: now, into: &actions)
            {
                return 0
            }
            login.auth = auth
            authenticated(client, step, now: now, into: &actions)
            return header.messageBytes
        }
    }

    /// A password is wrong by an answer of auth_query that somebody else had been given: the user may have
    /// another one since. `true`: auth_query is asked again, once, and the message is to be left where it is.
    private mutating func askAgain(
        _ client: ClientID, _ login: ClientLogin, now: Instant, into actions: inout ActionList
    ) -> Bool {
        guard login.isAnswerOld, let old = login.usedLookup, login.auth?.canBeRepeated == true,
            case .key(let key, let pool) = lookupPlace(for: login, now: now, into: &actions)
        else { return false }
        dropAnswer(old)
        login.isAnswerOld = false
        login.isRepeated = true
        startLookup(client, key, in: pool, now: now, into: &actions)
        return true
    }

    private mutating func authenticated(
        _ client: ClientID, _ step: ClientAuthStep, now: Instant, into actions: inout ActionList
    ) {
        switch step {
        case .waiting:
            break
        case .accepted(let keys):
            clients[client].login?.keys = keys
            admit(client, now: now, into: &actions)
        case .rejected(let failure):
            rejected(client, failure, now: now, into: &actions)
        case .typed(let password):
            judge(client, password, into: &actions)
        }
    }

    private mutating func rejected(
        _ client: ClientID, _ failure: ClientAuthFailure, now: Instant, into actions: inout ActionList
    ) {
        guard let login = clients[client].login else { return }
        loginFailed(from: clients[client].peer, now: now, into: &actions)
        logRule(failure.reason, login, client, into: &actions)
        if let lookup = login.usedLookup { dropAnswer(lookup) }
        let refusal = Refusal(failure.text, detail: login.mayBeLookedUp ? Self.failureDetail : nil)
        refuse(
            client, refusal, loggedAs: login.isUnknown ? "no such user" : refusal.text, now: now,
            into: &actions)
    }

    /// A client of this pool has logged in with a secret that auth_query told: its servers log in with it.
    mutating func keep(_ secret: Secret, _ keys: ScramKeys?, in pool: PoolID) {
        if let old = pools[pool].lookedUp, !old.isSame(as: secret) { pools[pool].lookedUpKeys = nil }
        pools[pool].lookedUp = secret
        if let keys { pools[pool].lookedUpKeys = keys }
    }
}

extension HostName {
    /// For the log, when no rule fits.
    fileprivate var inLog: ByteString {
        switch self {
        case .notAsked: ""
        case .nameless: " (the address has no name, or the name has other addresses)"
        case .name(let name): ByteString(" host=").appending(name)
        }
    }
}
