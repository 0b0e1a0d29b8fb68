import Config
import Pool
import Primitives
import Session
import Wire

/// Prepared statements where the next request may meet another server: names are the client's own, statements
/// are shared, and a server is given what it lacks just before it is needed. Nothing of this costs a round
/// trip.
extension Switchboard {
    // MARK: Parse

    mutating func parse(
        _ message: Message, from client: ClientID, to server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Step {
        guard message.isWhole else {
            if message.length <= Limits.heldMessageBytes { return .wait }
            return parseTooLongToHold(message, from: client, to: server, now: now, into: &actions)
        }
        guard let (name, definition) = ClientMessage.parse(message.body) else {
            refuse(client, .brokenParse, now: now, into: &actions)
            return .gone
        }
        if name.isEmpty {
            return parseUnnamed(message, definition, from: client, to: server, now: now, into: &actions)
        }
        if let pool = clients[client].pool { pools[pool].counters.clientParses &+= 1 }
        let names = clients[client].statements ?? ClientStatements(seed: hashSeed)
        clients[client].statements = names
        let segment = servers[server].replies.segment
        switch names.meaning(name, segment: segment) {
        case .inDoubt:
            return wait(for: server, client, into: &actions)
        case .known:
            if !servers[server].replies.isEmpty { return waitForAll(from: server, client, into: &actions) }
            if servers[server].status == .failed, !DeallocateText.endsTransaction(definition) {
                return parseWhileFailed(message, definition, from: client, to: server, now, into: &actions)
            }
            return parseTakenName(
                message, ByteString(name), names, from: client, to: server, now, into: &actions)
        case .unknown:
            break
        }
        guard names.count < ClientStatements.limit else {
            refuse(client, .tooManyStatements, now: now, into: &actions)
            return .gone
        }
        let statement = statements.holdCurrent(definition)
        switch servers[server].statements.use(statement, segment: segment) {
        case .underWay(let other) where other != segment:
            statements.letGo(statement)
            return wait(for: server, client, into: &actions)
        case .prepared where servers[server].status == .failed:
            // PostgreSQL refuses most statements now: let it, by preparing this one anew.
            dropStatement(statement, from: server, into: &actions)
            return sendParse(
                of: statement, name, names, from: client, to: server, message, now, into: &actions)
        case .underWay, .prepared:
            if servers[server].replies.holdsEndOfBatch {
                // Whether the transaction has failed by then decides what PostgreSQL would say.
                statements.letGo(statement)
                return waitForAll(from: server, client, into: &actions)
            }
            let number = names.change(name, to: statement, segment: segment)
            let reply = ExpectedReply(.parse, .answer, statement: statement, name: number)
            expect(reply, of: client, from: server, now: now)
            answer(from: server, now: now, into: &actions)
            return .took(message.length)
        case .absent, .unknown:
            makeRoom(on: server, into: &actions)
            return sendParse(
                of: statement, name, names, from: client, to: server, message, now, into: &actions)
        }
    }

    private mutating func sendParse(
        of statement: UInt32, _ name: ByteView, _ names: ClientStatements, from client: ClientID,
        to server: ServerID, _ message: Message, _ now: Instant, into actions: inout ActionList
    ) -> Step {
        let number = names.change(name, to: statement, segment: servers[server].replies.segment)
        noteParse(of: statement, on: server)
        let reply = ExpectedReply(.parse, statement: statement, name: number)
        expect(reply, of: client, from: server, now: now)
        actions.send(to: .server(server)) { statements.writeParse(statement, named: true, into: &$0) }
        noteDropping(message.body, client, on: server)
        return .took(message.length)
    }

    /// A Parse of the unnamed statement goes on as it is; its text is remembered, in case the client uses the
    /// statement again when it meets another server.
    private mutating func parseUnnamed(
        _ message: Message, _ definition: ByteView, from client: ClientID, to server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Step {
        guard definition.count <= Limits.rememberedParseBytes else {
            return parseTooLongToRemember(message, from: client, to: server, now: now, into: &actions)
        }
        let segment = servers[server].replies.segment
        guard clients[client].unnamed.meaning(segment: segment) != nil else {
            return wait(for: server, client, into: &actions)
        }
        forgetUnnamed(of: server)
        let statement = statements.hold(definition, guess: clients[client].unnamed.committed)
        statements.hold(again: statement)
        servers[server].statements.setUnnamed(statement, .underWay(segment: segment))
        changeUnnamed(of: client, to: statement, segment: segment)
        let reply = ExpectedReply(.parseUnnamed, statement: statement, name: ExpectedReply.unnamed)
        expect(reply, of: client, from: server, now: now)
        noteDropping(definition, client, on: server)
        return relay(message, from: client, to: server, into: &actions)
    }

    private mutating func parseTooLongToHold(
        _ message: Message, from client: ClientID, to server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Step {
        guard let first = message.body[0] else { return .wait }
        guard first == 0 else {
            refuse(client, .messageTooLong, now: now, into: &actions)
            return .gone
        }
        return parseTooLongToRemember(message, from: client, to: server, now: now, into: &actions)
    }

    /// The client keeps its server for as long as this is its unnamed statement.
    private mutating func parseTooLongToRemember(
        _ message: Message, from client: ClientID, to server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Step {
        let segment = servers[server].replies.segment
        guard clients[client].unnamed.meaning(segment: segment) != nil else {
            return wait(for: server, client, into: &actions)
        }
        unnamedLeaves(server)
        servers[server].statements.setUnnamed(ExpectedReply.none, .unknown)
        changeUnnamed(of: client, to: UnnamedStatement.tooLong, segment: segment)
        let reply = ExpectedReply(
            .parseUnnamed, statement: UnnamedStatement.tooLong, name: ExpectedReply.unnamed)
        expect(reply, of: client, from: server, now: now)
        return relay(message, from: client, to: server, into: &actions)
    }

    /// The name is taken: an unpooled server would say so at this place of the pipeline and skip to Sync. The
    /// server is made to fail here by a Bind that cannot work, and its error is replaced by the right one.
    private mutating func parseTakenName(
        _ message: Message, _ name: ByteString, _ names: ClientStatements, from client: ClientID,
        to server: ServerID, _ now: Instant, into actions: inout ActionList
    ) -> Step {
        log(
            .error, client,
            ByteString("prepared statement '").appending(name).appending("' was already prepared"),
            into: &actions)
        let number = name.withView { names.number(of: $0) }
        expect(ExpectedReply(.bind, .duplicateName, statement: number), of: client, from: server, now: now)
        actions.send(to: .server(server)) {
            $0.message(.bind) {
                $0.append(cString: "")
                $0.append(cString: "PGBOUNCER_none")
                for _ in 0..<3 { $0.append(uint16: 0) }
            }
        }
        return .took(message.length)
    }

    /// In a failed transaction PostgreSQL refuses nearly every text before it looks at the name: it is asked
    /// with a name that is closed again at once.
    private mutating func parseWhileFailed(
        _ message: Message, _ definition: ByteView, from client: ClientID, to server: ServerID,
        _ now: Instant, into actions: inout ActionList
    ) -> Step {
        expect(.parse, of: client, from: server, now: now)
        expect(ExpectedReply(.close, .swallow), of: client, from: server, now: now)
        actions.send(to: .server(server)) {
            $0.message(.parse) {
                $0.append(cString: "PGBOUNCER_none")
                $0.append(definition)
            }
            $0.message(.close) {
                $0.append(0x53)
                $0.append(cString: "PGBOUNCER_none")
            }
        }
        return .took(message.length)
    }

    // MARK: Bind, Describe, Close

    mutating func bind(
        _ message: Message, from client: ClientID, to server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Step {
        guard let (portal, name, names) = ClientMessage.bind(message.body) else {
            if !message.isWhole, message.present < Limits.heldMessageBytes { return .wait }
            refuse(client, .brokenParse, now: now, into: &actions)
            return .gone
        }
        switch prepare(name, for: client, on: server, now: now, into: &actions) {
        case .wait:
            return .wait
        case .asItIs:
            expect(.bind, of: client, from: server, now: now)
            return relay(message, from: client, to: server, into: &actions)
        case .renamed(let statement):
            if let pool = clients[client].pool { pools[pool].counters.binds &+= 1 }
            expect(ExpectedReply(.bind, statement: statement), of: client, from: server, now: now)
            actions.send(to: .server(server)) {
                let start = $0.begin(message: ClientMessageKind.bind.rawValue)
                $0.append(cString: portal)
                statements.writeName(statement, into: &$0)
                $0.append(0)
                let rest = message.length - FrameHeader.byteCount - names
                $0.set(uint32: UInt32($0.count - start + rest), at: start)
            }
            return relay(
                message, from: client, to: server, skipping: FrameHeader.byteCount + names, into: &actions)
        }
    }

    mutating func describe(
        _ message: Message, from client: ClientID, to server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Step {
        guard message.isWhole else {
            return message.length <= Limits.heldMessageBytes
                ? .wait : malformed(client, now: now, into: &actions)
        }
        guard let (kind, name) = ClientMessage.target(message.body), kind == 0x53 else {
            // A portal, or something only the server can complain about.
            expect(.describePortal, of: client, from: server, now: now)
            return relay(message, from: client, to: server, into: &actions)
        }
        switch prepare(name, for: client, on: server, now: now, into: &actions) {
        case .wait:
            return .wait
        case .asItIs:
            expect(.describeStatement, of: client, from: server, now: now)
            return relay(message, from: client, to: server, into: &actions)
        case .renamed(let statement):
            let reply = ExpectedReply(.describeStatement, statement: statement)
            expect(reply, of: client, from: server, now: now)
            actions.send(to: .server(server)) {
                $0.message(.describe) {
                    $0.append(0x53)
                    statements.writeName(statement, into: &$0)
                    $0.append(0)
                }
            }
            return .took(message.length)
        }
    }

    /// Close of a name only forgets the name: others may use the statement.
    mutating func close(
        _ message: Message, from client: ClientID, to server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Step {
        guard message.isWhole else {
            return message.length <= Limits.heldMessageBytes
                ? .wait : malformed(client, now: now, into: &actions)
        }
        guard let (kind, name) = ClientMessage.target(message.body), kind == 0x53, !name.isEmpty else {
            var drops = ExpectedReply.none
            if let (kind, _) = ClientMessage.target(message.body), kind == 0x53 {
                guard clients[client].unnamed.meaning(segment: servers[server].replies.segment) != nil else {
                    return wait(for: server, client, into: &actions)
                }
                drops = dropUnnamed(of: client, on: server)
            }
            expect(ExpectedReply(.close, name: drops), of: client, from: server, now: now)
            return relay(message, from: client, to: server, into: &actions)
        }
        let segment = servers[server].replies.segment
        var number = ExpectedReply.none
        switch clients[client].statements?.meaning(name, segment: segment) ?? .unknown {
        case .inDoubt:
            return wait(for: server, client, into: &actions)
        case .known:
            if let names = clients[client].statements {
                number = names.change(name, to: ExpectedReply.none, segment: segment)
            }
        case .unknown:
            break
        }
        expect(ExpectedReply(.close, .answer, name: number), of: client, from: server, now: now)
        answer(from: server, now: now, into: &actions)
        return .took(message.length)
    }

    private mutating func malformed(
        _ client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Step {
        refuse(client, .brokenParse, now: now, into: &actions)
        return .gone
    }

    // MARK: What a server needs

    private enum Prepared {
        /// Earlier replies decide; the client is held.
        case wait
        /// The name means to the server what it means to the client.
        case asItIs
        /// The server has it under the name of this statement, or will when the message arrives.
        case renamed(UInt32)
    }

    /// Makes sure that the server has what the client calls `name`.
    private mutating func prepare(
        _ name: ByteView, for client: ClientID, on server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Prepared {
        if name.isEmpty { return prepareUnnamed(for: client, on: server, now: now, into: &actions) }
        let segment = servers[server].replies.segment
        switch clients[client].statements?.meaning(name, segment: segment) ?? .unknown {
        case .inDoubt:
            _ = wait(for: server, client, into: &actions)
            return .wait
        case .unknown:
            log(
                .debug, client,
                ByteString("prepared statement '").appending(name).appending("' not found"), into: &actions)
            // Nobody else's statement may answer to it.
            return name.hasPrefix("PGBOUNCER_") ? .renamed(unusedStatement()) : .asItIs
        case .known(let statement):
            switch servers[server].statements.use(statement, segment: segment) {
            case .prepared:
                break
            case .underWay(let other):
                if other != segment {
                    _ = wait(for: server, client, into: &actions)
                    return .wait
                }
            case .absent, .unknown:
                makeRoom(on: server, into: &actions)
                noteParse(of: statement, on: server)
                expect(
                    ExpectedReply(.parse, .swallow, statement: statement), of: client, from: server, now: now)
                actions.send(to: .server(server)) {
                    statements.writeParse(statement, named: true, into: &$0)
                }
            }
            return .renamed(statement)
        }
    }

    /// A statement that no server has: asking for it fails as it should.
    private mutating func unusedStatement() -> UInt32 {
        // A definition without a count of types is none that any Parse can have.
        let number = ByteString("\0").withView { statements.hold($0) }
        statements.letGo(number)
        return number
    }

    private mutating func prepareUnnamed(
        for client: ClientID, on server: ServerID, now: Instant, into actions: inout ActionList
    ) -> Prepared {
        guard let wanted = clients[client].unnamed.meaning(segment: servers[server].replies.segment) else {
            _ = wait(for: server, client, into: &actions)
            return .wait
        }
        if wanted == UnnamedStatement.tooLong { return .asItIs }
        let (present, presence) = servers[server].statements.unnamed
        if wanted == present, presence != .unknown {
            if case .underWay(let other) = presence, other != servers[server].replies.segment {
                _ = wait(for: server, client, into: &actions)
                return .wait
            }
            return .asItIs
        }
        if wanted == ExpectedReply.none {
            unnamedLeaves(server)
            // The client has none, so it must not find somebody else's.
            expect(ExpectedReply(.close, .swallow), of: client, from: server, now: now)
            actions.send(to: .server(server)) {
                $0.message(.close) {
                    $0.append(0x53)
                    $0.append(0)
                }
            }
            return .asItIs
        }
        forgetUnnamed(of: server)
        statements.hold(again: wanted)
        let segment = servers[server].replies.segment
        servers[server].statements.setUnnamed(wanted, .underWay(segment: segment))
        expect(ExpectedReply(.parseUnnamed, .swallow), of: client, from: server, now: now)
        actions.send(to: .server(server)) { statements.writeParse(wanted, named: false, into: &$0) }
        return .asItIs
    }

    private mutating func noteParse(of statement: UInt32, on server: ServerID) {
        statements.hold(again: statement)
        servers[server].statements.parseSent(statement, segment: servers[server].replies.segment)
        pools[servers[server].pool].counters.serverParses &+= 1
    }

    /// Drops the statements used longest ago until one more fits (`max_prepared_statements`).
    private mutating func makeRoom(on server: ServerID, into actions: inout ActionList) {
        let limit = pools[servers[server].pool].settings.maxPreparedStatements
        while let victim = servers[server].statements.evictionCandidate(limit: limit) {
            dropStatement(victim, from: server, into: &actions)
        }
    }

    private mutating func dropStatement(
        _ statement: UInt32, from server: ServerID, into actions: inout ActionList
    ) {
        servers[server].statements.closeSent(statement, segment: servers[server].replies.segment)
        servers[server].replies.expect(ExpectedReply(.close, .swallow, statement: statement))
        actions.send(to: .server(server)) { statements.writeClose(statement, into: &$0) }
    }

    mutating func waitForAll(
        from server: ServerID, _ client: ClientID, into actions: inout ActionList
    ) -> Step {
        clients[client].waitsForAll = true
        return wait(for: server, client, into: &actions)
    }

    /// Holds the client until replies have come that decide what its next request means. A Flush sees to it
    /// that the server does not keep them.
    mutating func wait(for server: ServerID, _ client: ClientID, into actions: inout ActionList) -> Step {
        if servers[server].replies.isBatchOpen, !clients[client].holds.contains(.ledger) {
            actions.send(to: .server(server)) { $0.message(.flush) }
        }
        hold(client, .ledger, into: &actions)
        return .wait
    }

    // MARK: Answers of ours

    /// Writes the replies whose turn has come and which are ours to give.
    /// Never in the middle of a message that is being relayed.
    mutating func answer(from server: ServerID, now: Instant, into actions: inout ActionList) {
        if servers[server].isInRelayedMessage { return }
        while let reply = servers[server].replies.takeAnswer() {
            guard let client = servers[server].client else { continue }
            switch reply.request {
            case .parse: actions.send(to: .client(client)) { $0.message(.parseComplete) }
            case .close: actions.send(to: .client(client)) { $0.message(.closeComplete) }
            case .query, .functionCall, .sync, .parseUnnamed, .bind, .describeStatement, .describePortal,
                .execute, .copyEnd:
                break
            }
            confirmName(reply, of: client)
        }
    }

    /// A reply has come: what its request changed is in force now.
    mutating func confirm(_ reply: ExpectedReply, from server: ServerID) {
        switch reply.request {
        case .parse:
            if reply.statement != ExpectedReply.none { servers[server].statements.confirm(reply.statement) }
        case .parseUnnamed:
            let (statement, _) = servers[server].statements.unnamed
            if statement != ExpectedReply.none {
                servers[server].statements.setUnnamed(statement, .prepared)
            }
        case .close:
            if reply.disposition == .swallow {
                servers[server].statements.closeAnswered(reply.statement)
                statements.letGo(reply.statement)
            }
            if reply.disposition != .answer, reply.statement == ExpectedReply.none { unnamedHasLeft(server) }
        case .query:
            unnamedHasLeft(server)
        case .functionCall, .sync, .bind, .describeStatement, .describePortal, .execute, .copyEnd:
            break
        }
        if let client = servers[server].client { confirmName(reply, of: client) }
    }

    private mutating func confirmName(_ reply: ExpectedReply, of client: ClientID) {
        if reply.name == ExpectedReply.unnamed {
            let statement = reply.request == .parseUnnamed ? reply.statement : ExpectedReply.none
            return settleUnnamed(of: client, to: statement)
        }
        guard reply.name != ExpectedReply.none, let names = clients[client].statements else { return }
        let statement = reply.request == .parse ? reply.statement : ExpectedReply.none
        statements.letGo(names.confirm(reply.name, statement: statement))
    }

    /// An error skipped this request: nothing it was to change has changed.
    mutating func skipped(_ reply: ExpectedReply, from server: ServerID, wasReached: Bool = false) {
        switch (reply.request, reply.disposition) {
        case (.parse, .forward), (.parse, .swallow):
            if reply.statement == ExpectedReply.none { break }
            if servers[server].statements.has(reply.statement),
                !servers[server].statements.isConfirmed(reply.statement)
            {
                servers[server].statements.forget(reply.statement)
            }
            statements.letGo(reply.statement)
        case (.parseUnnamed, _), (.query, _), (.close, .forward),
            (.close, .swallow) where reply.statement == ExpectedReply.none:
            forgetUnnamed(of: server)
            servers[server].statements.setUnnamed(ExpectedReply.none, .unknown)
        case (.close, .swallow) where reply.statement != ExpectedReply.none:
            // The eviction did not happen: the server still has it, whatever was to become of it afterwards.
            servers[server].statements.closeAnswered(reply.statement)
            if !servers[server].statements.has(reply.statement) {
                servers[server].statements.parseSent(reply.statement, segment: 0)
            }
            servers[server].statements.confirm(reply.statement)
        default:
            break
        }
        if reply.name == ExpectedReply.unnamed {
            if reply.request == .parseUnnamed { statements.letGo(reply.statement) }
            guard let client = servers[server].client else { return }
            // A Parse or Close that failed has dropped the old one first; one that was skipped has done
            // nothing.
            return wasReached
                ? settleUnnamed(of: client, to: ExpectedReply.none) : unnamedUnchanged(of: client)
        }
        guard reply.name != ExpectedReply.none else { return }
        if reply.request == .parse { statements.letGo(reply.statement) }
        if let client = servers[server].client { clients[client].statements?.skipped(reply.name) }
    }

    // MARK: Forgetting

    /// The client's unnamed statement is to become another one; `statement` is held by the ledger entry.
    private mutating func changeUnnamed(of client: ClientID, to statement: UInt32, segment: UInt32) {
        statements.letGo(clients[client].unnamed.pending)
        if statement < UnnamedStatement.tooLong { statements.hold(again: statement) }
        clients[client].unnamed.pending = statement
        clients[client].unnamed.segment = segment
        clients[client].unnamed.changes += 1
    }

    /// A request is being sent that ends the unnamed statement. What the ledger entry has to say of it.
    mutating func dropUnnamed(of client: ClientID, on server: ServerID) -> UInt32 {
        unnamedLeaves(server)
        if clients[client].unnamed.isAbsent { return ExpectedReply.none }
        changeUnnamed(of: client, to: ExpectedReply.none, segment: servers[server].replies.segment)
        return ExpectedReply.unnamed
    }

    /// A change of the unnamed statement has taken effect.
    private mutating func settleUnnamed(of client: ClientID, to statement: UInt32) {
        statements.letGo(clients[client].unnamed.committed)
        clients[client].unnamed.committed = statement
        unnamedUnchanged(of: client)
    }

    /// A change of the unnamed statement is no longer pending.
    private mutating func unnamedUnchanged(of client: ClientID) {
        if clients[client].unnamed.changes > 0 { clients[client].unnamed.changes -= 1 }
        if clients[client].unnamed.changes == 0 {
            statements.letGo(clients[client].unnamed.pending)
            clients[client].unnamed.pending = ExpectedReply.none
        }
    }

    /// Everything the client holds, when it goes.
    mutating func forgetStatements(of client: ClientID) {
        for statement in clients[client].statements?.takeAllCommitted() ?? [] { statements.letGo(statement) }
        statements.letGo(clients[client].unnamed.committed)
        statements.letGo(clients[client].unnamed.pending)
        clients[client].unnamed = UnnamedStatement()
    }

    // MARK: Statements that drop statements

    /// Whether this text may drop prepared statements behind our back (`DISCARD`, `DEALLOCATE`, in any
    /// statement of it). Wrong only on the safe side.
    private func mayDrop(_ text: ByteView) -> Bool {
        text.containsIgnoringASCIICase("deallocate") || text.containsIgnoringASCIICase("discard")
    }

    /// A statement that may drop others is being prepared: its Execute will be waited for.
    private mutating func noteDropping(_ definition: ByteView, _ client: ClientID, on server: ServerID) {
        guard clients[client].statements != nil || servers[server].statements.count > 0 else { return }
        if mayDrop(definition) { clients[client].preparesDropping = true }
    }

    /// Holds a client whose request may drop the statements that its next requests name, until it is
    /// answered.
    mutating func waitIfDropping(
        _ message: Message, _ client: ClientID, _ server: ServerID, into actions: inout ActionList
    ) {
        guard clients[client].statements != nil || servers[server].statements.count > 0 else { return }
        let drops = message.kind == .query ? mayDrop(message.body) : clients[client].preparesDropping
        guard drops, servers[server].replies.count > 0 else { return }
        clients[client].preparesDropping = false
        guard message.isWhole else {
            clients[client].waitsBehindRest = true
            return
        }
        _ = waitForAll(from: server, client, into: &actions)
    }

    /// A request is being sent that ends the server's unnamed statement, if it is reached.
    private mutating func unnamedLeaves(_ server: ServerID) {
        forgetUnnamed(of: server)
        servers[server].statements.setUnnamed(
            ExpectedReply.none, .underWay(segment: servers[server].replies.segment))
    }

    /// The request that was to end it has been reached; a later Parse may have given it a new meaning.
    private mutating func unnamedHasLeft(_ server: ServerID) {
        let (statement, presence) = servers[server].statements.unnamed
        if statement == ExpectedReply.none, case .underWay = presence {
            servers[server].statements.setUnnamed(ExpectedReply.none, .absent)
        }
    }

    mutating func forgetUnnamed(of server: ServerID) {
        statements.letGo(servers[server].statements.unnamed.statement)
        servers[server].statements.setUnnamed(ExpectedReply.none, .absent)
    }

    /// DEALLOCATE ALL or DISCARD ALL has run for this client on this server.
    mutating func forgetAll(of client: ClientID?, and server: ServerID) {
        if let client {
            for statement in clients[client].statements?.takeAllCommitted() ?? [] {
                statements.letGo(statement)
            }
        }
        for statement in servers[server].statements.takeAllConfirmed() { statements.letGo(statement) }
    }

    /// `DEALLOCATE name` of a name given by Parse: only we know it, so we answer. `nil`: not ours to answer.
    mutating func deallocate(
        _ message: Message, of client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Step? {
        guard message.isWhole, let name = DeallocateText.name(message.body) else { return nil }
        let names = clients[client].statements
        let server = clients[client].server
        let segment = server.map { servers[$0].replies.segment } ?? 0
        return name.withView { name -> Step? in
            switch names?.meaning(name, segment: segment) ?? .unknown {
            case .unknown:
                guard let server, name.hasPrefix("PGBOUNCER_") else { return nil }
                // Not the client's to drop: the server says that there is no such statement.
                let drops = dropUnnamed(of: client, on: server)
                expect(ExpectedReply(.query, name: drops), of: client, from: server, now: now)
                actions.send(to: .server(server)) { $0.query("DEALLOCATE \"PGBOUNCER_none\"") }
                return .took(message.length)
            case .inDoubt:
                guard let server else { return nil }
                return wait(for: server, client, into: &actions)
            case .known:
                break
            }
            if let server,
                !servers[server].replies.isEmpty || servers[server].replies.copyIn != .none
                    || servers[server].restBytes > 0
            {
                return waitForAll(from: server, client, into: &actions)
            }
            let status = server.map { servers[$0].status } ?? .idle
            guard status != .failed else { return nil }
            guard let names else { return nil }
            let number = names.change(name, to: ExpectedReply.none, segment: segment)
            statements.letGo(names.confirm(number, statement: ExpectedReply.none))
            // A simple Query ends the unnamed statement, this one, too.
            statements.letGo(clients[client].unnamed.committed)
            clients[client].unnamed.committed = ExpectedReply.none
            actions.send(to: .client(client)) { $0.commandComplete("DEALLOCATE") }
            if let server, servers[server].replies.isBatchOpen {
                // What came before has no Sync: a query ends that batch, so the server says how it ends.
                expect(.sync, of: client, from: server, now: now)
                actions.send(to: .server(server)) { $0.message(.sync) }
            } else {
                actions.send(to: .client(client)) { $0.readyForQuery(status) }
            }
            return .took(message.length)
        }
    }
}

/// Recognises `DEALLOCATE [PREPARE] name` as a whole query; anything else, and anything doubtful, is not it.
enum DeallocateText {
    static func name(_ body: ByteView) -> ByteString? {
        guard let first = body[0],
            first.asciiLowercased == 0x64 || first <= 0x20 || first == 0x2D || first == 0x2F,
            let text = body.cString(at: 0), text.next == body.count, text.bytes.count <= 256
        else { return nil }
        var words = Words(text: text.bytes)
        guard let verb = words.next(), verb.isPlain, verb.bytes.equals("deallocate"), var name = words.next()
        else { return nil }
        if name.isPlain, name.bytes.equals("prepare") {
            guard let word = words.next() else { return nil }
            name = word
        } else if name.isPlain, name.bytes.equals("all") {
            return nil
        }
        return words.isAtEnd && !(name.isPlain && name.bytes.equals("all")) ? name.bytes : nil
    }

    /// Whether PostgreSQL takes this text in a transaction that has failed: COMMIT, ROLLBACK and their kin.
    static func endsTransaction(_ definition: ByteView) -> Bool {
        guard let text = definition.cString(at: 0) else { return false }
        var words = Words(text: text.bytes)
        guard let verb = words.next(), verb.isPlain else { return false }
        if verb.bytes.equals("prepare") { return words.next()?.bytes.equals("transaction") ?? false }
        return verb.bytes.equals("commit") || verb.bytes.equals("end") || verb.bytes.equals("rollback")
            || verb.bytes.equals("abort")
    }

    private struct Word {
        var bytes: ByteString
        var isPlain: Bool
    }

    private struct Words {
        let text: ByteView
        var offset = 0

        var isAtEnd: Bool {
            mutating get {
                skipBlanks()
                if text[offset] == 0x3B { offset += 1 }
                skipBlanks()
                return text[offset] == nil
            }
        }

        mutating func skipBlanks() {
            while let byte = text[offset] {
                if byte == 0x20 || (0x09...0x0D).contains(byte) {
                    offset += 1
                } else if byte == 0x2D, text[offset + 1] == 0x2D {
                    while let byte = text[offset], byte != 0x0A, byte != 0x0D { offset += 1 }
                } else if byte == 0x2F, text[offset + 1] == 0x2A, let end = endOfComment() {
                    offset = end
                } else {
                    return
                }
            }
        }

        /// Behind a `/* … */` that holds no other; `nil` for anything doubtful.
        private func endOfComment() -> Int? {
            var place = offset + 2
            while let star = text.firstIndex(of: 0x2A, from: place) {
                if text[star - 1] == 0x2F, star > offset + 1 { return nil }
                if text[star + 1] == 0x2F { return star + 2 }
                place = star + 1
            }
            return nil
        }

        /// A plain identifier, folded to lower case, or a quoted one as it stands.
        mutating func next() -> Word? {
            skipBlanks()
            var bytes: [UInt8] = []
            if text[offset] == 0x22 {
                offset += 1
                while let byte = text[offset] {
                    offset += 1
                    if byte != 0x22 {
                        bytes.append(byte)
                    } else if text[offset] == 0x22 {
                        bytes.append(byte)
                        offset += 1
                    } else {
                        return Word(bytes: ByteString(bytes), isPlain: false)
                    }
                }
                return nil
            }
            while let byte = text[offset],
                byte.isIdentifierByte && byte != 0x2E || byte >= 0x80 || byte == 0x24
            {
                bytes.append(byte.asciiLowercased)
                offset += 1
            }
            return bytes.isEmpty ? nil : Word(bytes: ByteString(bytes), isPlain: true)
        }
    }
}

extension ByteString {
    fileprivate func equals(_ literal: StaticString) -> Bool { withView { $0.equals(literal) } }
}
