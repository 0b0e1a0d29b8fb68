import Auth
import Primitives
import Session
import Wire

/// What tells one question to an auth server from another.
struct LookupKey: Hashable {
    /// Where auth_query runs, and as whom.
    var database: DatabaseID
    var user: UserID
    var query: ByteString
    /// Whose secret is wanted.
    var name: ByteString
}

/// What auth_query said of a user.
enum LookupAnswer: Sendable {
    case secret(Secret)
    /// There is such a user, and no password lets it in: the password is NULL.
    case expired
    case unknown
    /// Nothing can be said of the user, for a reason that clients hear.
    case failed(Refusal)
}

/// One run of auth_query for one user, however many of its logins wait for the answer.
struct Lookup: ~Copyable {
    enum Phase: Equatable {
        /// No server is free for it yet. *Leads to:* running, answered.
        case inLine
        /// Its server has the query. *Leads to:* answered, inLine when the server went away.
        case running(ServerID)
        /// The answer counts until `endsAt`.
        case answered
    }

    let key: LookupKey
    /// Whose servers run it.
    let pool: PoolID
    let since: Instant
    var phase = Phase.inLine
    /// Clients whose logins wait for it.
    var asking: [ClientID] = []
    var answer: LookupAnswer?
    var endsAt = Instant.never
    /// Servers that went away without an answer.
    var lostServers = 0
    var reader: LookupReader

    init(key: LookupKey, pool: PoolID, since: Instant) {
        self.key = key
        self.pool = pool
        self.since = since
        reader = LookupReader(name: key.name)
    }
}

/// Reads the answer to auth_query, message by message, and takes nothing that PostgreSQL would not send.
///
/// One row of two columns, name and secret, is expected. Of several rows the last one counts, as in
/// PgBouncer.
struct LookupReader {
    enum Step: Equatable {
        case goOn
        /// ReadyForQuery: `answer` says what came of it.
        case done
        /// The server is out of step.
        case broken
    }

    private enum Phase { case parse, bind, rows, ready, failed }

    private let name: ByteString
    private var phase = Phase.parse
    private(set) var answer = LookupAnswer.unknown
    /// What to log when the answer is no good.
    private(set) var problem: ByteString?

    init(name: ByteString) { self.name = name }

    mutating func take(_ kind: ServerMessageKind?, _ body: ByteView) -> Step {
        switch (kind, phase) {
        case (.noticeResponse, _), (.parameterStatus, _), (.notificationResponse, _):
            return .goOn
        case (.parseComplete, .parse):
            phase = .bind
        case (.bindComplete, .bind):
            phase = .rows
        case (.dataRow, .rows):
            return row(body) ? .goOn : .broken
        case (.commandComplete, .rows), (.emptyQueryResponse, .rows):
            phase = .ready
        case (.errorResponse, .parse), (.errorResponse, .bind), (.errorResponse, .rows):
            phase = .failed
            let severity = ServerMessage.field(0x53, of: body).map { ByteString($0) } ?? "ERROR"
            let text = ServerMessage.field(0x4D, of: body).map { ByteString($0) } ?? ""
            fail(ByteString("auth_query failed: ").appending(severity).appending(": ").appending(text))
        case (.readyForQuery, .ready), (.readyForQuery, .failed):
            return ServerMessage.readyForQuery(body) == .idle ? .done : .broken
        default:
            return .broken
        }
        return .goOn
    }

    private mutating func fail(_ text: ByteString) {
        problem = text
        answer = .failed(.badConfiguration)
    }

    /// manual: "DataRow". `false` when it is none.
    private mutating func row(_ body: ByteView) -> Bool {
        guard let columns = body.uint16(at: 0) else { return false }
        guard columns == 2 else {
            fail(ByteString("expected 2 columns from auth_query, got \(columns)"))
            return true
        }
        guard let (user, next) = Self.column(body, at: 2), let (secret, end) = Self.column(body, at: next),
            end == body.count
        else { return false }
        if case .failed = answer { return true }
        problem = nil
        guard let user, name.equals(user) else {
            problem = "auth_query answered for another user"
            answer = .unknown
            return true
        }
        guard let secret else {
            answer = .expired
            return true
        }
        if secret.count > Limits.lookedUpSecretBytes || secret.firstIndex(of: 0) != nil {
            fail("auth_query answered with a secret that is too long or contains a zero byte")
        } else {
            answer = .secret(Secret(secret))
        }
        return true
    }

    /// One column, `nil` inside for NULL, and the offset behind it; `nil` when the row ends before it.
    private static func column(_ body: ByteView, at offset: Int) -> (ByteView?, Int)? {
        guard let length = body.uint32(at: offset) else { return nil }
        if length == .max { return (nil, offset &+ 4) }
        guard length <= UInt32(Limits.lookupMessageBytes), offset &+ 4 &+ Int(length) <= body.count else {
            return nil
        }
        return (body.slice(offset &+ 4, Int(length)), offset &+ 4 &+ Int(length))
    }
}
