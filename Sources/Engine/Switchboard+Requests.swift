import Config
import Pool
import Primitives
import Session
import Wire

/// What applications send, message by message.
extension Switchboard {
    /// What became of the message at the front.
    enum Step {
        /// So many bytes are dealt with.
        case took(Int)
        /// Nothing is dealt with: more bytes are needed, or the client is being held back.
        case wait
        /// The client is gone.
        case gone
    }

    /// Bytes of a logged-in client, from `start` on. The number consumed, those before included.
    mutating func requests(
        _ bytes: ByteView, startingAt start: Int = 0, from client: ClientID, now: Instant,
        into actions: inout ActionList
    ) -> Int {
        let end = pass(bytes, start, from: client, now: now, into: &actions)
        guard let end else { return bytes.count }
        if end > start, clients.contains(client), let pool = clients[client].pool {
            pools[pool].counters.bytesFromClients &+= UInt64(end - start)
        }
        return end
    }

    /// Where the first byte that is not dealt with stands; `nil` when the client is gone.
    @inline(__always)
    private mutating func pass(
        _ bytes: ByteView, _ start: Int, from client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Int? {
        var offset = start
        let limitBytes = UInt32(clamping: snapshot.global.maxPacketSize)
        while offset < bytes.count, clients[client].holds.isEmpty {
            if clients[client].isInMessage {
                offset += passRest(bytes, offset, of: client, now: now, into: &actions)
                continue
            }
            switch bytes.frame(at: offset, limitBytes: limitBytes) {
            case .incomplete:
                return offset
            case .malformed:
                refuse(client, .badHeader(bytes.slice(offset)), now: now, into: &actions)
                return nil
            case .header(let header):
                guard let kind = ClientMessageKind(rawValue: header.kind) else {
                    refuseUnknown(header, from: client, now: now, into: &actions)
                    return nil
                }
                let message = Message(
                    kind: kind, bytes: bytes, offset: offset, length: header.messageBytes)
                switch request(message, from: client, now: now, into: &actions) {
                case .took(let count): offset += count
                case .wait: return offset
                case .gone: return nil
                }
            }
        }
        return offset
    }

    /// More of a message whose beginning has been dealt with. The number of bytes.
    private mutating func passRest(
        _ bytes: ByteView, _ offset: Int, of client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Int {
        guard clients[client].restBytes > 0 else {
            let count = min(clients[client].skipBytes, bytes.count - offset)
            clients[client].skipBytes -= count
            return count
        }
        let count = min(clients[client].restBytes, bytes.count - offset)
        clients[client].restBytes -= count
        if let server = clients[client].server {
            actions.relay(offset: offset, count: count, to: .server(server))
            if clients[client].restBytes == 0 {
                if clients[client].waitsBehindRest, !servers[server].replies.isEmpty {
                    _ = waitForAll(from: server, client, into: &actions)
                }
                clients[client].waitsBehindRest = false
                releaseIfFree(server, of: client, now: now, into: &actions)
            }
        }
        return count
    }

    private mutating func refuseUnknown(
        _ header: FrameHeader, from client: ClientID, now: Instant, into actions: inout ActionList
    ) {
        if header.kind == 0 {
            return refuse(client, .badHeader(header.view), now: now, into: &actions)
        }
        log(
            .error, client,
            ByteString("unknown pkt from client: \(header.kind)/0x\(String(header.kind, radix: 16))"),
            into: &actions)
        refuse(client, .unknownMessage, now: now, into: &actions)
    }

    /// A message whose header has been read.
    struct Message {
        let kind: ClientMessageKind
        let bytes: ByteView
        let offset: Int
        /// With type and length, in bytes.
        let length: Int

        /// Bytes of it that are here.
        var present: Int { min(length, bytes.count - offset) }
        var isWhole: Bool { present == length }
        /// The body as far as it is here.
        var body: ByteView {
            @inline(__always) get {
                bytes.slice(offset + FrameHeader.byteCount, present - FrameHeader.byteCount)
            }
        }
    }

    private mutating func request(
        _ message: Message, from client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Step {
        switch message.kind {
        case .terminate:
            forget(client, because: "client close request", told: false, now: now, into: &actions)
            actions.append(.close(.client(client)))
            return .gone
        case .password:
            refuse(client, .unknownMessage, now: now, into: &actions)
            return .gone
        case .query where snapshot.global.disablePQExec:
            log(.error, client, "client used \"Query\" packet type", into: &actions)
            refuse(client, Refusal("PQexec disallowed"), now: now, into: &actions)
            return .gone
        case .bind, .close, .copyData, .copyDone, .copyFail, .describe, .execute, .flush, .functionCall,
            .parse, .query, .sync:
            break
        }
        switch clients[client].phase {
        case .active(let server):
            return forward(message, from: client, to: server, now: now, into: &actions)
        case .skipping:
            return skip(message, of: client, now: now, into: &actions)
        case .idle:
            return first(message, from: client, now: now, into: &actions)
        case .waiting, .startup, .authenticating, .awaitingWelcome, .replicating, .console, .cancelRequest:
            return .wait
        }
    }

    /// A message of a client that has no server.
    private mutating func first(
        _ message: Message, from client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Step {
        switch message.kind {
        case .copyData, .copyDone, .copyFail, .flush:
            // What is left of a copy that failed, or a Flush of nothing: PostgreSQL ignores them, too.
            clients[client].skipBytes = message.length
            return .took(0)
        case .bind, .close, .describe, .execute, .functionCall, .parse, .query, .sync, .password, .terminate:
            break
        }
        guard message.present >= min(message.length, Limits.wholeMessageBytes) else { return .wait }
        if clients[client].cancelsNext { return answerCancelled(message, of: client, into: &actions) }
        if message.kind == .query, let step = deallocate(message, of: client, now: now, into: &actions) {
            return step
        }
        clients[client].requestAt = now
        switch checkOut(for: client, now: now, into: &actions) {
        case .granted(let server):
            return forward(message, from: client, to: server, now: now, into: &actions)
        case .waiting:
            return .wait
        case .refused:
            return .gone
        }
    }

    /// The request that was cancelled while its client stood in line: PostgreSQL's error, and the batch is
    /// skipped.
    private mutating func answerCancelled(
        _ message: Message, of client: ClientID, into actions: inout ActionList
    ) -> Step {
        clients[client].cancelsNext = false
        clients[client].skipBytes = message.length
        let endsHere = message.kind == .query || message.kind == .functionCall || message.kind == .sync
        if !endsHere { clients[client].phase = .skipping }
        actions.send(to: .client(client)) {
            Refusal.canceled.write(into: &$0)
            if endsHere { $0.readyForQuery(.idle) }
        }
        return .took(0)
    }

    /// The rest of a batch whose beginning was cancelled in line: PostgreSQL skips to Sync, so do we.
    private mutating func skip(
        _ message: Message, of client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Step {
        if message.kind == .sync {
            guard message.isWhole else { return .wait }
            clients[client].phase = .idle
            actions.send(to: .client(client)) { $0.readyForQuery(.idle) }
            return .took(message.length)
        }
        clients[client].skipBytes = message.length
        return .took(0)
    }

    /// A message of a client that has a server.
    mutating func forward(
        _ message: Message, from client: ClientID, to server: ServerID, now: Instant,
        into actions: inout ActionList
    ) -> Step {
        if servers[server].replies.isFull { return wait(for: server, client, into: &actions) }
        guard let pool = clients[client].pool else { return .gone }
        if pools[pool].settings.tracksStatements, servers[server].replies.isListening {
            switch message.kind {
            case .parse: return parse(message, from: client, to: server, now: now, into: &actions)
            case .bind: return bind(message, from: client, to: server, now: now, into: &actions)
            case .describe: return describe(message, from: client, to: server, now: now, into: &actions)
            case .close: return close(message, from: client, to: server, now: now, into: &actions)
            case .query:
                if clients[client].statements != nil, !message.isWhole,
                    message.length <= Limits.wholeMessageBytes
                {
                    return .wait
                }
                if let step = deallocate(message, of: client, now: now, into: &actions) { return step }
                let drops = dropUnnamed(of: client, on: server)
                expect(ExpectedReply(.query, name: drops), of: client, from: server, now: now)
                waitIfDropping(message, client, server, into: &actions)
                return relay(message, from: client, to: server, into: &actions)
            case .execute:
                expect(.execute, of: client, from: server, now: now)
                let step = relay(message, from: client, to: server, into: &actions)
                waitIfDropping(message, client, server, into: &actions)
                return step
            case .copyData, .copyDone, .copyFail, .flush, .functionCall, .sync, .password, .terminate:
                break
            }
        }
        switch message.kind {
        case .query: expect(.query, of: client, from: server, now: now)
        case .functionCall: expect(.functionCall, of: client, from: server, now: now)
        case .sync: expect(.sync, of: client, from: server, now: now)
        case .execute: expect(.execute, of: client, from: server, now: now)
        case .parse: expect(.parse, of: client, from: server, now: now)
        case .bind: expect(.bind, of: client, from: server, now: now)
        case .describe: expect(.describeStatement, of: client, from: server, now: now)
        case .close: expect(.close, of: client, from: server, now: now)
        case .copyDone, .copyFail: servers[server].replies.copyEndSent()
        case .copyData, .flush, .password, .terminate: break
        }
        return relay(message, from: client, to: server, into: &actions)
    }

    /// Passes the message on as it is, as much of it as is here; the rest follows when it comes.
    mutating func relay(
        _ message: Message, from client: ClientID, to server: ServerID, skipping: Int = 0,
        into actions: inout ActionList
    ) -> Step {
        actions.relay(
            offset: message.offset + skipping, count: message.present - skipping, to: .server(server))
        if !message.isWhole { clients[client].restBytes = message.length - message.present }
        return .took(message.present)
    }

    /// Notes a request that goes to the server as the client wrote it, and starts the clocks.
    mutating func expect(_ request: Request, of client: ClientID, from server: ServerID, now: Instant) {
        expect(ExpectedReply(request), of: client, from: server, now: now)
    }

    mutating func expect(
        _ reply: ExpectedReply, of client: ClientID, from server: ServerID, now: Instant
    ) {
        servers[server].expect(reply, now: now)
        guard clients[client].querySince == .zero, let pool = clients[client].pool else { return }
        clients[client].querySince = now
        clients[client].requestAt = now
        pools[pool].counters.queries &+= 1
        if clients[client].transactionSince == .zero {
            clients[client].transactionSince = now
            pools[pool].counters.transactions &+= 1
        }
        if pools[pool].settings.limitsTransactions { watchTransaction(client, pool, now: now) }
    }
}

extension FrameHeader {
    /// The header as it stood on the wire, for error texts.
    fileprivate var view: ByteView {
        // Only the zero type byte ends here; the text shows it as it came.
        ByteView(base: Self.zeroes.utf8Start, count: 1)
    }
    private static var zeroes: StaticString { "\0" }
}
