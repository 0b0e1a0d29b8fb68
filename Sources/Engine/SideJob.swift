public import Auth
public import Config
public import Primitives
import Session

/// Something that may take long and that a worker does not do itself: the driver hands it to a thread that
/// may wait, and answers with `sideJobDone`.
public enum SideJob: Sendable {
    /// The SCRAM keys of a password: PBKDF2, so many iterations of it.
    case derive(Secret, salt: ByteString, iterations: Int)
    /// The name the system has for this user.
    case systemUser(UInt32)
    /// What a program prints, read to its end, within a time.
    case run(ByteString, limit: TimeSpan)
    /// What stands in a file.
    case read(ByteString)
    /// Whether an LDAP server takes this password.
    case ldap(LDAPOptions, user: ByteString, password: Secret)
    /// Whether PAM does, of somebody at this host.
    case pam(service: ByteString, user: ByteString, password: Secret, host: ByteString)
    /// The name of an address, which must be an address of that name.
    case hostName(SocketAddress)
    /// Nobody waits any more for the job of this number. Has no answer.
    case withdraw
}

/// What came of it.
public enum SideResult: Sendable {
    case keys(ScramKeys)
    case text(ByteString)
    /// The password is right.
    case allowed
    /// Why there is no result, for the log; never what was read.
    case failed(ByteString)
}

/// A job as the driver takes it: with the number that the answer is to carry.
public struct NumberedSideJob: Sendable {
    public let number: UInt64
    public let job: SideJob

    public init(number: UInt64, job: SideJob) {
        self.number = number
        self.job = job
    }
}

/// Who waits for a job.
enum SideWait {
    /// The name of a client's system user, for `peer`.
    case systemUser(of: ClientID)
    /// Whether a client's password is right.
    case verdict(on: ClientID)
    /// The name of the host a client comes from.
    case hostName(of: ClientID)
    /// The keys with which the next message of these links is answered: what they have sent is offered again.
    case keys(Derivation, isTyped: Bool, for: [LinkID])
    /// Whoever needs the password of this source.
    case password(PasswordSource)
}

extension Switchboard {
    /// There is something for `takeSideJobs`.
    public var hasSideJobs: Bool { !sideJobs.isEmpty }

    /// To be asked for after each event.
    public mutating func takeSideJobs() -> [NumberedSideJob] {
        defer { sideJobs.removeAll() }
        return sideJobs
    }

    /// A job is done, or will never be.
    public mutating func sideJobDone(
        _ number: UInt64, _ result: SideResult, now: Instant, into actions: inout ActionList
    ) {
        guard let wait = sideWaits.removeValue(forKey: number) else { return }
        switch wait {
        case .systemUser(let client):
            guard clients.contains(client) else { return }
            clients[client].login?.job = nil
            systemUserKnown(client, result, now: now, into: &actions)
            goOnReading(client, into: &actions)
        case .verdict(let client):
            guard clients.contains(client) else { return }
            clients[client].login?.job = nil
            judged(client, result, now: now, into: &actions)
            goOnReading(client, into: &actions)
        case .hostName(let client):
            guard clients.contains(client) else { return }
            clients[client].login?.job = nil
            hostKnown(client, result, now: now, into: &actions)
            goOnReading(client, into: &actions)
        case .password(let source):
            passwordFetched(source, result, now: now, into: &actions)
        case .keys(let derivation, let isTyped, let links):
            keysDerived(derivation, isTyped, result, for: links, now: now, into: &actions)
        }
    }

    /// A login that waited has gone on: the client is read again, unless it waits for something else.
    mutating func goOnReading(_ client: ClientID, into actions: inout ActionList) {
        guard clients.contains(client), clients[client].phase != .awaitingWelcome,
            clients[client].login?.lookup == nil, clients[client].login?.job == nil,
            clients[client].login?.isAskedFor != true
        else { return }
        unhold(client, .login, into: &actions)
    }

    // MARK: Derived keys

    /// Whether these keys have to be computed elsewhere first. If so the link is held, and its message is to
    /// be left where it is.
    mutating func mustWait(
        _ link: LinkID, for derivation: Derivation?, isTyped: Bool, into actions: inout ActionList
    ) -> Bool {
        guard process.hasHelpers, let derivation else { return false }
        if isTyped ? typedKeys.has(derivation) : scramCache.has(derivation) { return false }
        switch link {
        case .client(let client): hold(client, .login, into: &actions)
        case .server(let server): hold(server, .login, into: &actions)
        }
        for (number, wait) in sideWaits {
            guard case .keys(let same, isTyped, let links) = wait, same.isSame(as: derivation) else {
                continue
            }
            sideWaits[number] = .keys(same, isTyped: isTyped, for: links + [link])
            return true
        }
        ask(
            .derive(derivation.secret, salt: derivation.salt, iterations: derivation.iterations),
            for: .keys(derivation, isTyped: isTyped, for: [link]))
        return true
    }

    private mutating func keysDerived(
        _ derivation: Derivation, _ isTyped: Bool, _ result: SideResult, for links: [LinkID], now: Instant,
        into actions: inout ActionList
    ) {
        if case .keys(let keys) = result {
            if isTyped { typedKeys.put(keys, for: derivation) } else { scramCache.put(keys, for: derivation) }
        }
        for link in links {
            switch (link, result) {
            case (.client(let client), .keys):
                if clients.contains(client) { unhold(client, .login, into: &actions) }
            case (.server(let server), .keys):
                if servers.contains(server) { unhold(server, .login, into: &actions) }
            case (.client(let client), _):
                if clients.contains(client) { refuse(client, .outOfRoom, now: now, into: &actions) }
            case (.server(let server), _):
                guard servers.contains(server) else { continue }
                loginFailed(server, .outOfRoom, now: now, into: &actions)
                closeServer(server, because: Refusal.outOfRoom.text, now: now, into: &actions)
            }
        }
    }

    /// Has something found out for a login, which waits for it.
    mutating func ask(
        _ job: SideJob, for wait: SideWait, of client: ClientID, into actions: inout ActionList
    ) {
        clients[client].phase = .authenticating
        hold(client, .login, into: &actions)
        ask(job, for: wait)
        clients[client].login?.job = sideJobNumber
    }

    /// The client goes: nothing need be done for it any more.
    mutating func withdrawJob(of client: ClientID) {
        guard let job = clients[client].login?.job else { return }
        sideWaits[job] = nil
        sideJobs.append(NumberedSideJob(number: job, job: .withdraw))
    }

    mutating func ask(_ job: SideJob, for wait: SideWait) {
        sideJobNumber &+= 1
        sideJobs.append(NumberedSideJob(number: sideJobNumber, job: job))
        sideWaits[sideJobNumber] = wait
    }
}
