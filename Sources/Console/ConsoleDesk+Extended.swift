import Engine
import Primitives
import Session
import Wire

/// The extended query protocol (manual: "Extended Query"). Commands have no parameters; the columns of a
/// result are known before it is executed.
extension ConsoleDesk {
    mutating func extended(
        _ kind: ClientMessageKind, _ message: ConsoleMessage, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) {
        let client = message.client
        if visitors[client] == nil { visitors[client] = Visitor() }
        var request = Request(client: client, body: message.body)
        let done: Result<Void, ConsoleError>
        switch kind {
        case .parse: done = parse(&request, into: &actions)
        case .bind: done = bind(&request, into: &actions)
        case .describe: done = describe(&request, into: &actions)
        case .close: done = close(&request, into: &actions)
        case .execute: done = execute(&request, on: &switchboard, now: now, into: &actions)
        case .copyData, .copyDone, .copyFail, .flush, .functionCall, .password, .query, .sync, .terminate:
            return
        }
        if case .failure(let error) = done {
            fail(error.refusal, client, .extended, on: &switchboard, into: &actions)
        }
    }

    // MARK: Parse, Bind, Describe, Close

    private mutating func parse(
        _ request: inout Request, into actions: inout ActionList
    ) -> Result<Void, ConsoleError> {
        guard let name = request.name(), let text = request.string(), let types = request.uint16(),
            request.skip(Int(types) * 4), request.isAtEnd
        else { return .failure(.malformed("Parse")) }
        let known = visitors[request.client]?.statements ?? [:]
        if !name.isEmpty, known[name] != nil {
            return .failure(
                .init(
                    state: "42P05", ByteString("prepared statement \"").appending(name), "\" already exists"))
        }
        if known[name] == nil, known.count >= Limits.statements {
            return .failure(.init(state: "53000", "too many prepared statements", ""))
        }
        switch Command.read(text) {
        case .failure(let error):
            if name.isEmpty { visitors[request.client]?.statements[name] = nil }
            return .failure(error)
        case .success(let command):
            visitors[request.client]?.statements[name] = Visitor.Statement(command: command)
            actions.send(to: .client(request.client)) { $0.message(.parseComplete) }
            return .success(())
        }
    }

    private mutating func bind(
        _ request: inout Request, into actions: inout ActionList
    ) -> Result<Void, ConsoleError> {
        guard let portal = request.name(), let name = request.name(), let inputFormats = request.uint16(),
            request.skip(Int(inputFormats) * 2), let parameters = request.uint16()
        else { return .failure(.malformed("Bind")) }
        guard let statement = visitors[request.client]?.statements[name] else {
            return .failure(.unknownStatement(name))
        }
        guard parameters == 0 else {
            let text: ByteString = "bind message supplies parameters, but console commands have none"
            return .failure(.init(.console(text)))
        }
        guard let count = request.uint16() else { return .failure(.malformed("Bind")) }
        var isBinary: [Bool] = []
        for _ in 0..<count {
            guard let format = request.uint16() else { return .failure(.malformed("Bind")) }
            guard format <= 1 else {
                return .failure(.init(state: "22023", "unsupported format code: ", ByteString("\(format)")))
            }
            isBinary.append(format == 1)
        }
        guard request.isAtEnd else { return .failure(.malformed("Bind")) }
        let columns = statement.command.headers?.count ?? 0
        guard isBinary.count <= 1 || isBinary.count == columns else {
            let text = "bind message has \(isBinary.count) result formats but query has \(columns) columns"
            return .failure(.init(.console(ByteString(text))))
        }
        let open = visitors[request.client]?.portals ?? [:]
        if !portal.isEmpty, open[portal] != nil {
            return .failure(
                .init(state: "42P03", ByteString("cursor \"").appending(portal), "\" already exists"))
        }
        if open[portal] == nil, open.count >= Limits.portals {
            return .failure(.init(state: "53000", "too many portals", ""))
        }
        visitors[request.client]?.portals[portal] = Visitor.Portal(
            command: statement.command, formats: ResultFormats(isBinary: isBinary))
        actions.send(to: .client(request.client)) { $0.message(.bindComplete) }
        return .success(())
    }

    private func describe(
        _ request: inout Request, into actions: inout ActionList
    ) -> Result<Void, ConsoleError> {
        guard let kind = request.byte(), let name = request.name(), request.isAtEnd else {
            return .failure(.malformed("Describe"))
        }
        let command: Command
        var formats = ResultFormats.text
        let isStatement = kind == Request.statement
        if isStatement {
            guard let statement = visitors[request.client]?.statements[name] else {
                return .failure(.unknownStatement(name))
            }
            command = statement.command
        } else if kind == Request.portal {
            guard let portal = visitors[request.client]?.portals[name] else {
                return .failure(.unknownPortal(name))
            }
            command = portal.command
            formats = portal.formats
        } else {
            return .failure(.malformed("Describe"))
        }
        actions.send(to: .client(request.client)) {
            if isStatement { $0.message(.parameterDescription) { $0.append(uint16: 0) } }
            if let headers = command.headers {
                $0.rowDescription(headers, formats)
            } else {
                $0.message(.noData)
            }
        }
        return .success(())
    }

    private mutating func close(
        _ request: inout Request, into actions: inout ActionList
    ) -> Result<Void, ConsoleError> {
        guard let kind = request.byte(), let name = request.name(), request.isAtEnd,
            kind == Request.statement || kind == Request.portal
        else { return .failure(.malformed("Close")) }
        if kind == Request.statement {
            visitors[request.client]?.statements[name] = nil
        } else {
            visitors[request.client]?.portals[name] = nil
        }
        actions.send(to: .client(request.client)) { $0.message(.closeComplete) }
        return .success(())
    }

    // MARK: Execute

    private mutating func execute(
        _ request: inout Request, on switchboard: inout Switchboard, now: Instant,
        into actions: inout ActionList
    ) -> Result<Void, ConsoleError> {
        guard let name = request.name(), let wanted = request.uint32(), request.isAtEnd else {
            return .failure(.malformed("Execute"))
        }
        let client = request.client
        guard let portal = visitors[client]?.portals[name] else { return .failure(.unknownPortal(name)) }
        guard mayGive(portal.command, client, switchboard) else { return .failure(.init(.adminAccessNeeded)) }
        // A limit beyond 2^31 is negative to PostgreSQL, and means all rows as 0 does.
        let limit = wanted > Int32.max ? 0 : Int(wanted)
        switch (portal.command, portal.progress) {
        case (.show(let show), .fresh) where limit == 0:
            let moment = moment(now, switchboard)
            visitors[client]?.portals[name]?.progress = .finished
            actions.send(to: .client(client)) {
                show.write(switchboard, at: moment, portal.formats, into: &$0)
                $0.commandComplete("SHOW")
            }
        case (.show(let show), .fresh):
            let rows = show.cells(switchboard, at: moment(now, switchboard))
            send(rows, limit, portal.formats, name, client, into: &actions)
        case (.showParameter(let parameter), .fresh):
            send([[.text(parameter.value)]], limit, portal.formats, name, client, into: &actions)
        case (.show, .rows(let rows)), (.showParameter, .rows(let rows)):
            send(rows, limit, portal.formats, name, client, into: &actions)
        case (.show, .finished), (.showParameter, .finished):
            send([], limit, portal.formats, name, client, into: &actions)
        case (.ignoreParameter, .fresh), (.set, .fresh), (.order, .fresh):
            visitors[client]?.portals[name]?.progress = .finished
            let outcome = give(portal.command, client, on: &switchboard, now: now, into: &actions)
            finish(outcome, client, .extended, on: &switchboard, now: now, into: &actions)
        case (.ignoreParameter, _), (.set, _), (.order, _):
            return .failure(
                .init(state: "55000", ByteString("portal \"").appending(name), "\" cannot be run"))
        }
        return .success(())
    }

    /// As many rows as are asked for; 0 is all of them.
    private mutating func send(
        _ rows: [[Cell]], _ limit: Int, _ formats: ResultFormats, _ name: ByteString, _ client: ClientID,
        into actions: inout ActionList
    ) {
        let count = limit == 0 ? rows.count : min(limit, rows.count)
        // As PostgreSQL: whoever gets all the rows that were asked for is not told that they were the last.
        let isSuspended = limit > 0 && count == limit
        visitors[client]?.portals[name]?.progress =
            isSuspended ? .rows(Array(rows.dropFirst(count))) : .finished
        actions.send(to: .client(client)) {
            for row in rows.prefix(count) { $0.dataRow(row, formats) }
            if isSuspended { $0.message(.portalSuspended) } else { $0.commandComplete("SHOW") }
        }
    }
}

/// One message of the extended protocol, read from the front; every read is checked.
struct Request {
    static let statement = UInt8(ascii: "S")
    static let portal = UInt8(ascii: "P")

    let client: ClientID
    private let body: ByteString
    private var place = 0

    init(client: ClientID, body: ByteString) {
        self.client = client
        self.body = body
    }

    var isAtEnd: Bool { place == body.count }

    mutating func byte() -> UInt8? {
        defer { place += 1 }
        return place < body.count ? body.bytes[place] : nil
    }

    mutating func uint16() -> UInt16? {
        let start = place
        place += 2
        return body.withView { $0.uint16(at: start) }
    }

    mutating func uint32() -> UInt32? {
        let start = place
        place += 4
        return body.withView { $0.uint32(at: start) }
    }

    mutating func string() -> ByteString? {
        let start = place
        let found = body.withView { $0.cString(at: start).map { (ByteString($0.bytes), $0.next) } }
        guard let found else { return nil }
        place = found.1
        return found.0
    }

    /// The name of a statement or portal.
    mutating func name() -> ByteString? { string().flatMap { $0.count <= Limits.nameBytes ? $0 : nil } }

    mutating func skip(_ count: Int) -> Bool {
        place += count
        return place <= body.count
    }
}

extension ConsoleError {
    init(state: ByteString, _ text: ByteString, _ rest: ByteString) {
        self.init(.console(text.appending(rest), state: state))
    }

    static func malformed(_ message: ByteString) -> ConsoleError {
        .init(state: "08P01", "invalid message format: ", message)
    }

    static func unknownStatement(_ name: ByteString) -> ConsoleError {
        if name.isEmpty { return .init(state: "26000", "unnamed prepared statement does not exist", "") }
        return .init(state: "26000", ByteString("prepared statement \"").appending(name), "\" does not exist")
    }

    static func unknownPortal(_ name: ByteString) -> ConsoleError {
        .init(state: "34000", ByteString("portal \"").appending(name), "\" does not exist")
    }
}
