import Config
import Pool
import Primitives
import Session
import Wire

/// What servers say, message by message. Rows are not looked at: runs of messages for the client become one
/// relay.
extension Switchboard {
    /// A run of bytes for the client that has not been put into an action yet.
    private struct Run {
        var start = 0
        var end = 0
    }

    /// Bytes of a logged-in server, from `start` on. The number consumed, those before included.
    mutating func replies(
        _ bytes: ByteView, startingAt start: Int = 0, from server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Int {
        var run = Run()
        var offset = start
        var ending = Ending.none
        if servers[server].restBytes > 0 {
            let count = min(servers[server].restBytes, bytes.count - offset)
            servers[server].restBytes -= count
            take(count, at: offset, servers[server].rest, &run, server, into: &actions)
            offset += count
            if servers[server].restBytes == 0 { giveAnswers(&run, from: server, now: now, into: &actions) }
        }
        reading: while offset < bytes.count {
            let header: FrameHeader
            switch bytes.frame(at: offset, limitBytes: UInt32.max >> 1) {
            case .incomplete:
                break reading
            case .malformed:
                flush(&run, from: server, into: &actions)
                outOfStep(server, now: now, into: &actions)
                return bytes.count
            case .header(let found):
                header = found
            }
            let present = min(header.messageBytes, bytes.count - offset)
            let isWhole = present == header.messageBytes
            let kind = ServerMessageKind(rawValue: header.kind)
            var rest = ServerSession.Rest.relay
            var isRow = false
            if kind == .dataRow || kind == .copyData, case .part(let front) = servers[server].replies.rows() {
                isRow = true
                if front.disposition != .forward { rest = .swallow }
            } else {
                if !isWhole, Self.mustBeWhole(kind, header.messageBytes) {
                    if header.messageBytes > Limits.serverMessageBytes {
                        flush(&run, from: server, into: &actions)
                        outOfStep(server, now: now, into: &actions)
                        return bytes.count
                    }
                    break reading
                }
                let body = bytes.slice(
                    offset + FrameHeader.byteCount, present - FrameHeader.byteCount)
                switch reply(kind, body, isWhole: isWhole, from: server, now: now, into: &actions) {
                case .relay:
                    break
                case .swallow:
                    rest = .swallow
                case .replace(let refusal):
                    rest = .swallow
                    flush(&run, from: server, into: &actions)
                    if let client = servers[server].client {
                        actions.send(to: .client(client)) { refusal.write(into: &$0) }
                    }
                case .fromItself(let client):
                    flush(&run, from: server, into: &actions)
                    rest = .swallow
                    notify(client, body, into: &actions)
                case .settled:
                    take(present, at: offset, .relay, &run, server, into: &actions)
                    offset += present
                    ending = .settled
                    break reading
                case .errandDone:
                    offset += present
                    ending = .errandDone
                    break reading
                case .broken:
                    flush(&run, from: server, into: &actions)
                    outOfStep(server, now: now, into: &actions)
                    return bytes.count
                case .gone:
                    return bytes.count
                }
            }
            if !isWhole {
                servers[server].restBytes = header.messageBytes - present
                servers[server].rest = rest
            }
            take(present, at: offset, rest, &run, server, into: &actions)
            offset += present
            // A row is a part of what it answers, so it can be nobody's turn behind it.
            if isWhole, !isRow { giveAnswers(&run, from: server, now: now, into: &actions) }
        }
        flush(&run, from: server, into: &actions)
        if let client = servers[server].client, clients[client].holds.contains(.ledger),
            servers[server].replies.count <= (clients[client].waitsForAll ? 0 : ExpectedReplies.limit / 2)
                || servers[server].replies.copyIn == .taking
        {
            clients[client].waitsForAll = false
            unhold(client, .ledger, into: &actions)
        }
        if !waitingCancels.isEmpty, servers[server].replies.isEmpty {
            retryCancels(now: now, into: &actions)
        }
        switch ending {
        case .none:
            return offset
        case .settled:
            return settled(server, bytes, offset, now: now, into: &actions)
        case .errandDone:
            if offset < bytes.count { servers[server].poison("unexpected message between queries") }
            finishErrand(server, now: now, into: &actions)
            return bytes.count
        }
    }

    /// Our own answers, if it is their turn now that a message is complete.
    @inline(__always)
    private mutating func giveAnswers(
        _ run: inout Run, from server: ServerID, now: Instant, into actions: inout ActionList
    ) {
        guard let front = servers[server].replies.front,
            front.disposition == .answer || front.request == .copyEnd
        else { return }
        flush(&run, from: server, into: &actions)
        answer(from: server, now: now, into: &actions)
    }

    /// How a buffer of replies ends, apart from running out.
    private enum Ending {
        case none, settled, errandDone
    }

    @inline(__always)
    private mutating func take(
        _ count: Int, at offset: Int, _ rest: ServerSession.Rest, _ run: inout Run, _ server: ServerID,
        into actions: inout ActionList
    ) {
        if rest == .relay, run.end == offset, run.end > run.start {
            run.end += count
            return
        }
        flush(&run, from: server, into: &actions)
        if rest == .relay { run = Run(start: offset, end: offset + count) }
    }

    private mutating func flush(_ run: inout Run, from server: ServerID, into actions: inout ActionList) {
        guard run.end > run.start else { return }
        if let client = servers[server].client {
            pools[servers[server].pool].counters.bytesFromServers &+= UInt64(run.end - run.start)
            actions.relay(offset: run.start, count: run.end - run.start, to: .client(client))
        }
        run = Run()
    }

    /// Messages whose content matters, and that are short when they are honest.
    private static func mustBeWhole(_ kind: ServerMessageKind?, _ messageBytes: Int) -> Bool {
        switch kind {
        case .readyForQuery, .parameterStatus, .parseComplete, .bindComplete, .closeComplete,
            .portalSuspended, .noData, .emptyQueryResponse, .copyInResponse, .notificationResponse:
            true
        case .commandComplete, .errorResponse:
            messageBytes <= 256
        default:
            false
        }
    }

    private enum ReplyStep {
        case relay, swallow
        /// Swallow it, and say this instead.
        case replace(Refusal)
        /// A notification that this client's own session sent.
        case fromItself(ClientID)
        /// ReadyForQuery for the client, and nothing more is owed.
        case settled
        /// ReadyForQuery for a query of ours that no client waits for.
        case errandDone
        /// The server is out of step.
        case broken
        /// The server is gone already.
        case gone
    }

    private mutating func reply(
        _ kind: ServerMessageKind?, _ body: ByteView, isWhole: Bool, from server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> ReplyStep {
        switch kind {
        case .dataRow, .copyData, .copyDone, .copyOutResponse:
            return step(servers[server].replies.rows(), from: server)
        case .rowDescription:
            return step(servers[server].replies.rowDescription(), from: server)
        case .noData:
            return step(servers[server].replies.noData(), from: server)
        case .parameterDescription:
            return step(servers[server].replies.parameterDescription(), from: server)
        case .parseComplete:
            return step(servers[server].replies.parseComplete(), from: server)
        case .bindComplete:
            return step(servers[server].replies.bindComplete(), from: server)
        case .closeComplete:
            return step(servers[server].replies.closeComplete(), from: server)
        case .portalSuspended:
            return step(servers[server].replies.portalSuspended(), from: server)
        case .functionCallResponse:
            return step(servers[server].replies.functionResult(), from: server)
        case .commandComplete, .emptyQueryResponse:
            if isWhole, body.equals("DEALLOCATE ALL\0") || body.equals("DISCARD ALL\0") {
                forgetAll(of: servers[server].client, and: server)
            }
            // What completes in a failed transaction has ended it; ReadyForQuery will say how.
            if kind == .commandComplete, servers[server].status == .failed {
                servers[server].status = .inTransaction
            }
            return step(servers[server].replies.commandComplete(), from: server)
        case .copyInResponse:
            guard let crossedOut = servers[server].replies.copyInResponse(),
                let front = servers[server].replies.front
            else { return .broken }
            servers[server].syncsCrossedOut += crossedOut
            return front.disposition == .forward ? .relay : .broken
        case .errorResponse:
            return failed(body, from: server, now: now, into: &actions)
        case .readyForQuery:
            return ready(body, from: server, now: now, into: &actions)
        case .parameterStatus:
            return parameterChanged(body, on: server)
        case .noticeResponse, .notificationResponse:
            // While a query of ours runs, what the server remarks on it is not for the client.
            guard let client = servers[server].client, !servers[server].awaitsParameters else {
                return .swallow
            }
            return kind == .notificationResponse && isFromItself(body, server) ? .fromItself(client) : .relay
        case .authentication, .backendKeyData, .copyBothResponse, .negotiateProtocolVersion, nil:
            return .broken
        }
    }

    @inline(__always)
    private mutating func step(_ verdict: ExpectedReplies.Verdict, from server: ServerID) -> ReplyStep {
        switch verdict {
        case .part(let reply):
            return reply.disposition == .forward ? .relay : .swallow
        case .completes(let reply):
            if !reply.changesNothing { confirm(reply, from: server) }
            return reply.disposition == .forward ? .relay : .swallow
        case .outOfStep:
            return .broken
        }
    }

    // MARK: Errors

    private mutating func failed(
        _ body: ByteView, from server: ServerID, now: Instant, into actions: inout ActionList
    ) -> ReplyStep {
        let wasCopying = servers[server].replies.copyIn != .none
        var dropped: [ExpectedReply] = []
        let verdict = servers[server].replies.error { dropped.append($0) }
        var wasReached = true
        for reply in dropped {
            skipped(reply, from: server, wasReached: wasReached)
            wasReached = false
        }
        if wasCopying { servers[server].strayReadies += servers[server].syncsCrossedOut }
        noteFatal(body, from: server)
        let front: ExpectedReply
        switch verdict {
        case .outOfStep:
            if servers[server].replies.skipsToSync { return .relay }
            return unasked(body, from: server, now: now, into: &actions)
        case .part(let reply), .completes(let reply):
            front = reply
        }
        switch front.disposition {
        case .duplicateName where ServerMessage.field(0x43, of: body)?.equals("26000") == true:
            guard let client = servers[server].client, let names = clients[client].statements else {
                return .relay
            }
            return .replace(.duplicateStatement(names.name(front.statement)))
        case .swallow where front.request == .query:
            return ownQueryFailed(body, on: server, now: now, into: &actions)
        case .forward, .swallow, .answer, .duplicateName:
            noteFault(body, in: front.statement, front.request, on: server)
            return .relay
        }
    }

    private mutating func noteFault(
        _ body: ByteView, in statement: UInt32, _ request: Request, on server: ServerID
    ) {
        guard servers[server].statements.isConfirmed(statement), request != .parse,
            let state = ServerMessage.field(0x43, of: body)
        else { return }
        if state.equals("26000") {
            // Somebody dropped it behind our back (DISCARD in a function, say): it is prepared anew when
            // needed.
            servers[server].statements.forget(statement)
            statements.letGo(statement)
        } else if state.equals("0A000") {
            // "cached plan must not change result type"; for anything else a copy too many is harmless.
            statements.goStale(statement)
        }
    }

    mutating func noteFatal(_ body: ByteView, from server: ServerID) {
        guard let severity = ServerMessage.field(0x56, of: body) ?? ServerMessage.field(0x53, of: body),
            severity.equals("FATAL") || severity.equals("PANIC")
        else { return }
        servers[server].saidFatal = servers[server].client != nil
        servers[server].poison("server conn crashed?")
    }

    /// An error nobody asked for: the server says why it is about to close the connection.
    private mutating func unasked(
        _ body: ByteView, from server: ServerID, now: Instant, into actions: inout ActionList
    ) -> ReplyStep {
        servers[server].poison("server conn crashed?")
        if servers[server].client != nil { return .relay }
        log(.warning, server, "got packet 'E' from server when not linked", into: &actions)
        closeServer(server, because: "server conn crashed?", now: now, into: &actions)
        return .gone
    }

    private mutating func ownQueryFailed(
        _ body: ByteView, on server: ServerID, now: Instant, into actions: inout ActionList
    ) -> ReplyStep {
        let severity = ServerMessage.field(0x53, of: body).map { ByteString($0) } ?? "ERROR"
        let text = ServerMessage.field(0x4D, of: body).map { ByteString($0) } ?? ""
        let said = severity.appending(": ").appending(text)
        if servers[server].awaitsParameters {
            log(.error, server, ByteString("varcache_apply failed: ").appending(said), into: &actions)
            servers[server].poison("invalid server parameter")
            if let client = servers[server].client {
                let isEnding = servers[server].saidFatal
                detach(client, from: server, into: &actions)
                refuse(client, isEnding ? .serverCrashed : .parametersRejected, now: now, into: &actions)
            }
            closeServer(server, because: "invalid server parameter", now: now, into: &actions)
            return .gone
        }
        switch servers[server].errand {
        case .connect:
            log(
                .error, server, ByteString("S: error while executing exec_on_query: ").appending(said),
                into: &actions)
        case .check, .reset, .fence:
            log(.warning, server, ByteString("query of the pooler failed: ").appending(said), into: &actions)
            servers[server].poison("test query failed")
        case .none, .lookup:
            break
        }
        return .swallow
    }

    // MARK: Parameters

    private mutating func parameterChanged(_ body: ByteView, on server: ServerID) -> ReplyStep {
        let client = servers[server].awaitsParameters ? nil : servers[server].client
        guard follow(body, on: server, for: client) else { return .broken }
        return client != nil ? .relay : .swallow
    }

    /// Notes what a ParameterStatus says of a server, and of the client it is for. `false`: it says nothing.
    mutating func follow(_ body: ByteView, on server: ServerID, for client: ClientID?) -> Bool {
        guard let (name, value) = ServerMessage.parameterStatus(body) else { return false }
        guard let index = parameters.reportedIndex(name) else { return true }
        servers[server].parameters = parameters.replacing(servers[server].parameters, at: index, with: value)
        if let client {
            clients[client].parameters = parameters.replacing(
                clients[client].parameters, at: index, with: value)
        }
        return true
    }

    // MARK: ReadyForQuery

    private mutating func ready(
        _ body: ByteView, from server: ServerID, now: Instant, into actions: inout ActionList
    ) -> ReplyStep {
        guard let status = ServerMessage.readyForQuery(body) else { return .broken }
        guard case .completes(let reply) = servers[server].replies.readyForQuery() else {
            guard servers[server].strayReadies > 0, servers[server].client != nil else { return .broken }
            servers[server].strayReadies -= 1
            servers[server].status = status
            return .relay
        }
        servers[server].status = status
        servers[server].restingSince = now
        servers[server].syncsCrossedOut = 0
        if reply.disposition == .swallow {
            if servers[server].awaitsParameters {
                return parametersApplied(on: server, now: now, into: &actions)
            }
            return .errandDone
        }
        if !reply.changesNothing { confirm(reply, from: server) }
        guard let client = servers[server].client else { return .broken }
        if servers[server].replies.isEmpty { queryEnded(client, server, status, now: now) }
        return servers[server].replies.isSettled && mayPart(client, from: server) ? .settled : .relay
    }

    private mutating func parametersApplied(
        on server: ServerID, now: Instant, into actions: inout ActionList
    ) -> ReplyStep {
        servers[server].awaitsParameters = false
        if !waitingCancels.isEmpty { retryCancels(now: now, into: &actions) }
        if let client = servers[server].client, servers[server].status == .idle {
            // What the server made of the client's spelling is the client's value from now on.
            let changes = parameters.differences(
                from: clients[client].parameters, to: servers[server].parameters)
            reportCanonical(changes, to: client, into: &actions)
            parameters.hold(again: servers[server].parameters)
            parameters.letGo(clients[client].parameters)
            clients[client].parameters = servers[server].parameters
        }
        return .swallow
    }

    private mutating func reportCanonical(
        _ changes: [(name: ByteString, old: ByteString, new: ByteString)], to client: ClientID,
        into actions: inout ActionList
    ) {
        for (name, old, new) in changes {
            actions.send(to: .client(client)) { $0.parameterStatus(name, new) }
            guard isLogged(.debug) else { continue }
            let line = ByteString("varcache_set_canonical: setting ").appending(name)
                .appending(" to its canonical version ").appending(old).appending(" -> ").appending(new)
            log(.debug, client, line, into: &actions)
        }
    }

    private mutating func queryEnded(
        _ client: ClientID, _ server: ServerID, _ status: TransactionStatus, now: Instant
    ) {
        guard let pool = clients[client].pool else { return }
        if clients[client].querySince != .zero {
            pools[pool].counters.queryTime &+= UInt64(now.since(clients[client].querySince).nanoseconds)
            clients[client].querySince = .zero
        }
        if status == .idle, clients[client].transactionSince != .zero {
            pools[pool].counters.transactionTime &+= UInt64(
                now.since(clients[client].transactionSince).nanoseconds)
            clients[client].transactionSince = .zero
        }
        if pools[pool].settings.limitsTransactions { watchTransaction(client, pool, now: now) }
    }

    /// Whether the client is done with this server once everything is answered: its transaction is over, or
    /// it was not allowed one. A client that keeps its server is read on for, so that nothing unasked waits
    /// for the next query.
    private func mayPart(_ client: ClientID, from server: ServerID) -> Bool {
        let mode = pools[servers[server].pool].settings.mode
        if servers[server].status != .idle { return !mode.allowsTransactionBlocks }
        if closesFast(server) { return true }
        return mode.releasesBetweenTransactions && !clients[client].unnamed.isPinned
            && clients[client].restBytes == 0
    }

    /// `server_fast_close`: a client that keeps its server does not keep it alive once it is to be replaced.
    func closesFast(_ server: ServerID) -> Bool {
        snapshot.global.serverFastClose && servers[server].retirement != nil
    }

    mutating func endSession(
        _ client: ClientID, _ server: ServerID, now: Instant, into actions: inout ActionList
    ) {
        detach(client, from: server, into: &actions)
        refuse(client, .configurationChanged, now: now, into: &actions)
        closeServer(server, because: "database configuration changed", now: now, into: &actions)
    }

    /// Everything asked of the server has been answered. `offset`: where its unread bytes start. What is
    /// consumed of them in the end.
    private mutating func settled(
        _ server: ServerID, _ bytes: ByteView, _ offset: Int, now: Instant, into actions: inout ActionList
    ) -> Int {
        guard let client = servers[server].client else { return offset }
        let pool = servers[server].pool
        let status = servers[server].status
        let mode = pools[pool].settings.mode
        if status != .idle, !mode.allowsTransactionBlocks {
            detach(client, from: server, into: &actions)
            refuse(client, .statementPooling, now: now, into: &actions)
            closeServer(server, because: "transaction blocks not allowed", now: now, into: &actions)
            return bytes.count
        }
        if status == .idle, !mode.releasesBetweenTransactions, closesFast(server) {
            endSession(client, server, now: now, into: &actions)
            return bytes.count
        }
        var offset = offset
        if offset < bytes.count {
            offset = passRemarks(of: server, to: client, bytes, offset, into: &actions)
            if offset < bytes.count { servers[server].poison("unexpected message between queries") }
        }
        detach(client, from: server, into: &actions)
        watchIdle(client, now: now)
        release(server, now: now, into: &actions)
        return servers.contains(server) ? offset : bytes.count
    }

    /// What the server says unasked behind its answer is the client's: it was said while it was its own. The
    /// offset behind those messages.
    private mutating func passRemarks(
        of server: ServerID, to client: ClientID, _ bytes: ByteView, _ start: Int,
        into actions: inout ActionList
    ) -> Int {
        var offset = start
        while case .header(let header) = bytes.frame(at: offset, limitBytes: UInt32.max >> 1),
            bytes.count - offset >= header.messageBytes,
            let kind = ServerMessageKind(rawValue: header.kind),
            kind == .noticeResponse || kind == .notificationResponse || kind == .parameterStatus
        {
            let body = bytes.slice(
                offset + FrameHeader.byteCount, header.messageBytes - FrameHeader.byteCount)
            if kind == .parameterStatus {
                guard case .relay = parameterChanged(body, on: server) else { return offset }
            }
            if kind == .notificationResponse, isFromItself(body, server) {
                notify(client, body, into: &actions)
            } else {
                actions.relay(offset: offset, count: header.messageBytes, to: .client(client))
            }
            offset += header.messageBytes
        }
        return offset
    }

    /// Whether a NotificationResponse comes from the session it goes to. The client knows that session by
    /// the process of its BackendKeyData, and leaves out what it sent itself by that number.
    private func isFromItself(_ body: ByteView, _ server: ServerID) -> Bool {
        body.uint32(at: 0) == servers[server].processID
    }

    /// The notification anew, from the client's own process.
    private mutating func notify(_ client: ClientID, _ body: ByteView, into actions: inout ActionList) {
        let processID = UInt32(truncatingIfNeeded: clients[client].key >> 32)
        actions.send(to: .client(client)) {
            $0.message(.notificationResponse) {
                $0.append(uint32: processID)
                $0.append(body.slice(4))
            }
        }
    }

    /// The server broke the protocol, or said something that only a broken one says. It is closed, whatever
    /// it owes; a client in the middle of an exchange with it hears so, unless part of a message has reached
    /// it.
    mutating func outOfStep(_ server: ServerID, now: Instant, into actions: inout ActionList) {
        servers[server].poison("protocol violation")
        log(.warning, server, "server broke the protocol", into: &actions)
        if let client = servers[server].client {
            let isBetween =
                servers[server].replies.isSettled && servers[server].status == .idle
                && clients[client].restBytes == 0
                && pools[servers[server].pool].settings.mode.releasesBetweenTransactions
            detach(client, from: server, into: &actions)
            if !isBetween { refuse(client, .serverOutOfStep, now: now, into: &actions) }
        }
        closeServer(server, because: "unknown pkt", now: now, into: &actions)
    }
}
