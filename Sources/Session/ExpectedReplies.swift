public import Primitives

/// What a request was, as far as its reply is concerned.
public enum Request: UInt8, BitwiseCopyable, Sendable {
    case query, functionCall, sync
    case parse, parseUnnamed, bind, describeStatement, describePortal, execute, close
    /// CopyDone or CopyFail sent ahead of the CopyInResponse: no reply of its own, only a mark in the stream.
    case copyEnd
}

/// What becomes of the reply.
public enum Disposition: UInt8, BitwiseCopyable, Sendable {
    /// The client asked, the client gets it.
    case forward
    /// We asked, for the client's sake or our own; the client never hears of it.
    case swallow
    /// The server was not asked; we write the reply when its turn comes.
    case answer
    /// The server is made to fail here; the client gets the error an unpooled server would have given.
    case duplicateName
}

/// One reply that is still to come.
public struct ExpectedReply: BitwiseCopyable, Equatable, Sendable {
    public var request: Request
    public var disposition: Disposition
    /// The statement that a Parse prepares or a Close of ours drops, or `none`; for `duplicateName` the
    /// number of the name that is taken.
    public var statement: UInt32
    /// The client's name for it (see `ClientStatements`), or `none`.
    public var name: UInt32
    public static let none = UInt32.max
    /// For `name`: the request ends the client's unnamed statement, or with a Parse gives it another meaning.
    public static let unnamed = UInt32.max - 1

    /// Its answer changes nothing but the ledger.
    @inlinable public var changesNothing: Bool {
        if name != Self.none { return false }
        switch request {
        case .bind, .describeStatement, .describePortal, .execute, .sync, .functionCall, .copyEnd: return true
        case .query, .parse, .parseUnnamed, .close: return false
        }
    }

    @inlinable
    public init(
        _ request: Request, _ disposition: Disposition = .forward, statement: UInt32 = none,
        name: UInt32 = none
    ) {
        self.request = request
        self.disposition = disposition
        self.statement = statement
        self.name = name
    }
}

/// The ledger of a server: one entry for each reply to come, in order. It decides for every message of the
/// server whom it is for; a server is free only when it is empty.
///
/// Follows PostgreSQL's rules: after an error in the extended protocol everything up to the next Sync is
/// skipped, and a CopyInResponse makes the server deaf to Sync until the copy ends (manual: "Extended Query",
/// "COPY Operations").
public struct ExpectedReplies: ~Copyable {
    /// Entries held before the client is made to wait: bounds the memory of 10,000 requests in one write.
    public static let limit = 4096

    @usableFromInline var entries = Ring<ExpectedReply>(capacity: 16)
    /// The request at the front has had a result (CommandComplete, EmptyQueryResponse, an error …), so that a
    /// ReadyForQuery is in order.
    private var frontHasResult = false
    /// An error came and its Sync has not been seen yet: the server ignores what is sent until then.
    public private(set) var skipsToSync = false
    /// Where a COPY FROM STDIN stands.
    public private(set) var copyIn = CopyIn.none
    /// Extended requests were sent, and no Sync behind them yet: the server is in a transaction of their own,
    /// whatever it said last.
    public fileprivate(set) var isBatchOpen = false
    /// The entry at the front stands for requests that nobody has told of (`untold`).
    @usableFromInline var isUntold = false
    /// Syncs recorded so far; tells the segments of a pipeline apart.
    public private(set) var segment: UInt32 = 0

    public enum CopyIn: Equatable, Sendable {
        case none
        /// The server takes rows and has not been told of the end.
        case taking
        /// The end has been sent.
        case ending
    }

    public init() {}

    @inlinable public var isEmpty: Bool { @inline(__always) get { entries.isEmpty } }
    @inlinable public var count: Int { @inline(__always) get { entries.count } }
    @inlinable public var isFull: Bool { @inline(__always) get { entries.count >= Self.limit } }
    @inlinable public var front: ExpectedReply? { @inline(__always) get { entries.first } }
    /// It reads requests one by one: neither skips to a Sync nor takes rows of a copy.
    @inlinable public var isListening: Bool { @inline(__always) get { !skipsToSync && copyIn != .taking } }
    /// Nothing is owed and nothing is being skipped or copied: with an idle transaction the server is free.
    @inlinable public var isSettled: Bool {
        @inline(__always) get { entries.isEmpty && !skipsToSync && !isBatchOpen && copyIn == .none }
    }

    // MARK: Requests

    /// Notes a request that has been sent, or whose answer is ours.
    public mutating func expect(_ reply: ExpectedReply) {
        if copyIn == .taking { return }
        if isUntold, belongsToUntold(reply.request) { return }
        if skipsToSync {
            guard reply.request == .sync else { return }
            skipsToSync = false
        }
        switch reply.request {
        case .sync:
            segment &+= 1
            isBatchOpen = false
        case .query, .functionCall:
            isBatchOpen = false
        case .parse, .parseUnnamed, .bind, .describeStatement, .describePortal, .execute, .close:
            isBatchOpen = true
        case .copyEnd:
            break
        }
        entries.append(reply)
    }

    /// A client that asks for something new while nothing was said has had everything before; one that only
    /// goes on belongs to what was asked.
    private mutating func belongsToUntold(_ request: Request) -> Bool {
        switch request {
        case .execute, .sync, .copyEnd:
            return true
        case .query, .functionCall, .parse, .parseUnnamed, .bind, .describeStatement, .describePortal, .close:
            entries.removeAll()
            frontHasResult = false
            isUntold = false
            return false
        }
    }

    /// A CopyDone or CopyFail is being sent.
    public mutating func copyEndSent() {
        switch copyIn {
        case .taking: copyIn = .ending
        case .ending: break
        case .none:
            if !entries.isEmpty && !skipsToSync { entries.append(ExpectedReply(.copyEnd)) }
        }
    }

    // MARK: Replies

    /// What the server's message means, for the kinds that touch the ledger.
    public enum Verdict: Equatable, Sendable {
        /// Part of the reply at the front.
        case part(ExpectedReply)
        /// The reply at the front ends with this message.
        case completes(ExpectedReply)
        /// The server said something nobody asked for: it is out of step and may not be used again.
        case outOfStep
    }

    public mutating func parseComplete() -> Verdict { completing { $0 == .parse || $0 == .parseUnnamed } }
    public mutating func bindComplete() -> Verdict { completing { $0 == .bind } }
    public mutating func closeComplete() -> Verdict { completing { $0 == .close } }
    public mutating func portalSuspended() -> Verdict { completing { $0 == .execute } }

    /// RowDescription: ends a Describe, is part of a query.
    public mutating func rowDescription() -> Verdict {
        guard let front = entries.first else { return .outOfStep }
        return front.request == .query
            ? .part(front) : completing { $0 == .describeStatement || $0 == .describePortal }
    }

    public mutating func noData() -> Verdict {
        completing { $0 == .describeStatement || $0 == .describePortal }
    }

    public func parameterDescription() -> Verdict {
        if isUntold, let front = entries.first { return .part(front) }
        return part { $0 == .describeStatement }
    }

    /// DataRow, CopyOutResponse, and CopyData and CopyDone from the server.
    @inlinable
    @inline(__always)
    public func rows() -> Verdict { part { $0 == .query || $0 == .execute } }

    /// FunctionCallResponse.
    public mutating func functionResult() -> Verdict {
        let verdict = part { $0 == .functionCall }
        if verdict != .outOfStep { frontHasResult = true }
        return verdict
    }

    /// CommandComplete or EmptyQueryResponse: ends an Execute, is part of a query.
    public mutating func commandComplete() -> Verdict {
        guard copyIn != .taking, let front = entries.first else { return .outOfStep }
        copyIn = .none
        switch front.request {
        case .query:
            frontHasResult = true
            return .part(front)
        case .execute:
            return completing { $0 == .execute }
        default:
            return .outOfStep
        }
    }

    /// CopyInResponse: from here on the server ignores Syncs until it is told that the copy ends. Those sent
    /// already, up to that point, will not be answered. The number of Syncs crossed out, or `nil` for out of
    /// step.
    public mutating func copyInResponse() -> Int? {
        guard copyIn == .none, let front = entries.first, front.request == .query || front.request == .execute
        else { return nil }
        copyIn = .taking
        var crossedOut = 0
        defer {
            if crossedOut > 0, front.request == .execute, !holdsEndOfBatch { isBatchOpen = true }
        }
        var index = 1
        while index < entries.count {
            switch entries[index].request {
            case .copyEnd:
                entries.remove(at: index)
                copyIn = .ending
                return crossedOut
            case .sync:
                entries.remove(at: index)
                crossedOut += 1
            default:
                index += 1
            }
        }
        return crossedOut
    }

    /// ErrorResponse. In the extended protocol every entry up to the next Sync is dropped: `dropped` is told
    /// of each, the failed one first.
    public mutating func error(dropped: (ExpectedReply) -> Void) -> Verdict {
        guard let front = entries.first else { return .outOfStep }
        copyIn = .none
        switch front.request {
        case .query, .functionCall, .sync:
            frontHasResult = true
            return .part(front)
        case .parse, .parseUnnamed, .bind, .describeStatement, .describePortal, .execute, .close, .copyEnd:
            while let entry = entries.first, entry.request != .sync {
                dropped(entry)
                entries.removeFirst()
            }
            frontHasResult = false
            skipsToSync = entries.isEmpty
            return .completes(front)
        }
    }

    /// ReadyForQuery: ends a query, a function call or a Sync, and only when that has had its result.
    public mutating func readyForQuery() -> Verdict {
        guard let front = entries.first, copyIn == .none else { return .outOfStep }
        switch front.request {
        case .query, .functionCall:
            guard frontHasResult else { return .outOfStep }
        case .sync:
            break
        case .parse, .parseUnnamed, .bind, .describeStatement, .describePortal, .execute, .close, .copyEnd:
            return .outOfStep
        }
        let verdict = completing { _ in true }
        while entries.first?.request == .copyEnd { entries.removeFirst() }
        return verdict
    }

    /// The next entry when its turn has come and its reply is ours to write; marks without replies are
    /// dropped on the way. To be asked after every reply and every request until `nil`.
    public mutating func takeAnswer() -> ExpectedReply? {
        while let front = entries.first {
            if front.request == .copyEnd {
                entries.removeFirst()
            } else if front.disposition == .answer {
                return entries.removeFirst()
            } else {
                return nil
            }
        }
        return nil
    }

    fileprivate mutating func removeFirst() -> ExpectedReply? {
        entries.isEmpty ? nil : entries.removeFirst()
    }

    /// Whether something that ends a batch is still to be answered.
    public var holdsEndOfBatch: Bool { (0..<entries.count).contains { endsBatch($0) } }

    /// How many times ReadyForQuery is still to come for the client.
    public var batches: Int {
        (0..<entries.count).reduce(0) {
            $0 + (endsBatch($1) && entries[$1].disposition == .forward ? 1 : 0)
        }
    }

    private func endsBatch(_ place: Int) -> Bool {
        switch entries[place].request {
        case .sync, .query, .functionCall: true
        case .parse, .parseUnnamed, .bind, .describeStatement, .describePortal, .execute, .close, .copyEnd:
            false
        }
    }

    @inlinable
    @inline(__always)
    func part(_ fits: (Request) -> Bool) -> Verdict {
        guard let front = entries.first, fits(front.request) else { return .outOfStep }
        return .part(front)
    }

    @inline(__always)
    private mutating func completing(_ fits: (Request) -> Bool) -> Verdict {
        guard let front = entries.first, fits(front.request) else {
            if isUntold, let front = entries.first { return .part(front) }
            return .outOfStep
        }
        isUntold = false
        frontHasResult = false
        return .completes(entries.removeFirst())
    }
}

/// A ledger as plain values, for another process to go on with.
public struct LedgerStanding: Equatable, Sendable {
    public var entries: [ExpectedReply] = []
    public var frontHasResult = false
    public var skipsToSync = false
    public var copyIn = ExpectedReplies.CopyIn.none
    public var isBatchOpen = false
    public var segment: UInt32 = 0
    public init() {}
}

extension ExpectedReplies {
    public var standing: LedgerStanding {
        var standing = LedgerStanding()
        standing.entries = (0..<entries.count).map { entries[$0] }
        standing.frontHasResult = frontHasResult
        standing.skipsToSync = skipsToSync
        standing.copyIn = copyIn
        standing.isBatchOpen = isBatchOpen
        standing.segment = segment
        return standing
    }

    public init(_ standing: LedgerStanding) {
        self.init()
        for entry in standing.entries { entries.append(entry) }
        frontHasResult = standing.frontHasResult
        skipsToSync = standing.skipsToSync
        copyIn = standing.copyIn
        isBatchOpen = standing.isBatchOpen
        segment = standing.segment
    }

    /// The ledger of a server whose client may or may not wait for something: nobody has told. What it says
    /// up to its next ReadyForQuery is the client's.
    public static var untold: ExpectedReplies {
        var replies = ExpectedReplies()
        replies.entries.append(ExpectedReply(.query))
        replies.frontHasResult = true
        replies.isUntold = true
        return replies
    }

    /// Everything still owed, for taking back what it was to change; nothing is owed after this.
    public mutating func takeAll() -> [ExpectedReply] {
        var all: [ExpectedReply] = []
        while let entry = removeFirst() { all.append(entry) }
        isBatchOpen = false
        return all
    }
}
