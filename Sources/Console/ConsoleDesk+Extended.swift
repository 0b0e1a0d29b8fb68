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
            fail(error, client, .extended, on: &switchboard, into: &actions)
        }
    }

    // MARK: Parse, Bind, Describe, Close

    private mutating func parse(
        _ request: inout Request, into actions: inout ActionList
    ) -> Result<Void, ConsoleError> {
        guard let name = request.name(), let text = request.string(), let count = request.uint16() else {
            return .failure(.malformed("Parse"))
        }
        var types: [UInt32] = []
        for _ in 0..<count {
            guard let type = request.uint32() else { return .failure(.malformed("Parse")) }
            types.append(type)
        }
        guard request.isAtEnd else { return .failure(.malformed("Parse")) }
        if let odd = types.first(where: { !SelectParameter.isKnown($0) }) {
            let text = "parameters of type \(odd) are not supported here"
            return .failure(.init(state: "0A000", ByteString(text), ""))
        }
        let known = visitors[request.client]?.statements ?? [:]
        if !name.isEmpty, known[name] != nil {
            return .failure(
                .init(
                    state: "42P05", ByteString("prepared statement \"").appending(name), "\" already exists"))
        }
        if known[name] == nil, known.count >= Limits.statements {
            return .failure(.init(state: "53000", "too many prepared statements", ""))
        }
        switch Command.read(text, declared: types.map { SelectParameter.type($0) }) {
        case .failure(let error):
            if name.isEmpty { visitors[request.client]?.statements[name] = nil }
            return .failure(error)
        case .success(let command):
            visitors[request.client]?.statements[name] = Visitor.Statement(
                command: command, parameters: command.parameters(types))
            actions.send(to: .client(request.client)) { $0.message(.parseComplete) }
            return .success(())
        }
    }

    private mutating func bind(
        _ request: inout Request, into actions: inout ActionList
    ) -> Result<Void, ConsoleError> {
        guard let portal = request.name(), let name = request.name() else {
            return .failure(.malformed("Bind"))
        }
        guard let statement = visitors[request.client]?.statements[name] else {
            return .failure(.unknownStatement(name))
        }
        let values: [SQLValue]
        switch request.values(for: statement) {
        case .failure(let error): return .failure(error)
        case .success(let found): values = found
        }
        let isBinary: [Bool]
        switch request.formats() {
        case .failure(let error): return .failure(error)
        case .success(let found): isBinary = found
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
            command: statement.command, formats: ResultFormats(isBinary: isBinary), values: values)
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
        var parameters: [UInt32] = []
        let isStatement = kind == Request.statement
        if isStatement {
            guard let statement = visitors[request.client]?.statements[name] else {
                return .failure(.unknownStatement(name))
            }
            command = statement.command
            parameters = statement.parameters
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
            if isStatement {
                $0.message(.parameterDescription) {
                    $0.append(uint16: UInt16(clamping: parameters.count))
                    for type in parameters { $0.append(uint32: type) }
                }
            }
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
        case (.show, .fresh), (.showParameter, .fresh), (.select, .fresh), (.configDiff, .fresh):
            switch rows(of: portal.command, portal.values, client, on: switchboard, now: now) {
            case .failure(let error): return .failure(error)
            case .success(let rows): send(rows, limit, portal, name, client, into: &actions)
            }
        case (.show, .rows(let rows)), (.showParameter, .rows(let rows)), (.select, .rows(let rows)),
            (.configDiff, .rows(let rows)):
            send(rows, limit, portal, name, client, into: &actions)
        case (.show, .finished), (.showParameter, .finished), (.select, .finished), (.configDiff, .finished):
            send([], limit, portal, name, client, into: &actions)
        case (.ignoreParameter, .fresh), (.set, .fresh), (.order, .fresh), (.courtesy, .fresh):
            visitors[client]?.portals[name]?.progress = .finished
            let outcome = give(portal.command, client, on: &switchboard, now: now, into: &actions)
            let timeout = portal.command.timeout(from: now)
            finish(outcome, client, .extended, timeout: timeout, on: &switchboard, now: now, into: &actions)
        case (.ignoreParameter, _), (.set, _), (.order, _), (.courtesy, _):
            return .failure(
                .init(state: "55000", ByteString("portal \"").appending(name), "\" cannot be run"))
        }
        return .success(())
    }

    /// As many rows as are asked for; 0 is all of them.
    private mutating func send(
        _ rows: [[Cell]], _ limit: Int, _ portal: Visitor.Portal, _ name: ByteString, _ client: ClientID,
        into actions: inout ActionList
    ) {
        let count = limit == 0 ? rows.count : min(limit, rows.count)
        // As PostgreSQL: whoever gets all the rows that were asked for is not told that they were the last.
        let isSuspended = limit > 0 && count == limit
        visitors[client]?.portals[name]?.progress =
            isSuspended ? .rows(Array(rows.dropFirst(count))) : .finished
        actions.send(to: .client(client)) {
            for row in rows.prefix(count) { $0.dataRow(row, portal.formats) }
            if isSuspended {
                $0.message(.portalSuspended)
            } else {
                $0.commandComplete(portal.command.tag(count))
            }
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

    /// The values of a statement's parameters: formats, then each value behind its length (manual: "Bind").
    mutating func values(for statement: Visitor.Statement) -> Result<[SQLValue], ConsoleError> {
        let isBinary: [Bool]
        switch formats() {
        case .failure(let error): return .failure(error)
        case .success(let found): isBinary = found
        }
        guard let count = uint16() else { return .failure(.malformed("Bind")) }
        guard case .select(let select) = statement.command else {
            if count == 0 { return .success([]) }
            let text: ByteString = "bind message supplies parameters, but console commands have none"
            return .failure(.init(.console(text)))
        }
        let wanted = select.parameters.count
        guard Int(count) == wanted, isBinary.count <= 1 || isBinary.count == wanted else {
            let text = "bind message supplies \(count) parameters, but the statement requires \(wanted)"
            return .failure(.init(.console(ByteString(text))))
        }
        var values: [SQLValue] = []
        for place in 0..<wanted {
            guard let length = uint32() else { return .failure(.malformed("Bind")) }
            var bytes: ByteString?
            if length != .max {
                guard let found = take(length) else { return .failure(.malformed("Bind")) }
                bytes = found
            }
            do throws(SelectError) {
                values.append(
                    try SelectParameter.value(
                        bytes, number: statement.parameters[place], type: select.parameters[place],
                        isBinary: isBinary.isEmpty ? false : isBinary[isBinary.count == 1 ? 0 : place]))
            } catch {
                return .failure(error.error(in: ""))
            }
        }
        return .success(values)
    }

    /// How many format codes, and these; 1 is binary.
    mutating func formats() -> Result<[Bool], ConsoleError> {
        guard let count = uint16() else { return .failure(.malformed("Bind")) }
        var isBinary: [Bool] = []
        for _ in 0..<count {
            guard let format = uint16() else { return .failure(.malformed("Bind")) }
            guard format <= 1 else {
                return .failure(.init(state: "22023", "unsupported format code: ", ByteString("\(format)")))
            }
            isBinary.append(format == 1)
        }
        return .success(isBinary)
    }

    private mutating func take(_ count: UInt32) -> ByteString? {
        guard Int(count) <= body.count - place else { return nil }
        defer { place += Int(count) }
        return ByteString(Array(body.bytes[place..<(place + Int(count))]))
    }

    /// The name of a statement or portal.
    mutating func name() -> ByteString? { string().flatMap { $0.count <= Limits.nameBytes ? $0 : nil } }

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
