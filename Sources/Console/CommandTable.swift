import Config
import Primitives
import Session

/// Every command of the console. To add one: a file in `Commands/`, and a line here.
package enum CommandTable {
    static let shows: [any ShowCommand.Type] = [
        ShowActiveSockets.self,
        ShowClients.self,
        ShowConfig.self,
        ShowDatabases.self,
        ShowDNSHosts.self,
        ShowDNSZones.self,
        ShowLists.self,
        ShowMem.self,
        ShowPeerPools.self,
        ShowPeers.self,
        ShowPools.self,
        ShowServers.self,
        ShowSockets.self,
        ShowState.self,
        ShowStats.self,
        ShowStatsAverages.self,
        ShowStatsTotals.self,
        ShowTotals.self,
        ShowUsers.self,
        ShowVersion.self,
        ShowWorkers.self,
    ]

    static let orders: [any OrderCommand.Type] = [
        ShowHelp.self,
        ShowFDs.self,
        Disable.self,
        Enable.self,
        Kill.self,
        KillClient.self,
        Pause.self,
        Reconnect.self,
        Reload.self,
        Resume.self,
        Shutdown.self,
        Suspend.self,
        WaitClose.self,
    ]
}

/// A command that was understood.
enum Command {
    case show(any ShowCommand.Type)
    case showParameter(FakeParameter)
    case ignoreParameter
    case set(key: ByteString, value: ByteString)
    case order(any OrderCommand.Type, argument: ByteString, timeout: TimeSpan? = nil)
    case select(SelectStatement)
    case configDiff
    case courtesy(Courtesy)

    /// Finds the command of a text. `declared` are the types that Parse gave its parameters, if it may have
    /// any.
    static func read(_ text: ByteString, declared: [SQLType?]? = nil) -> Result<Command, ConsoleError> {
        if let courtesy = Courtesy(text) { return .success(.courtesy(courtesy)) }
        switch CommandText(text) {
        case .plain(let word, let argument):
            let selects = word.equalsIgnoringASCIICase("select")
            if selects || word.equalsIgnoringASCIICase("show") {
                if let show = show(argument) { return .success(show) }
                return selects ? select(text, declared) : .failure(.init(.invalidCommand(text)))
            }
            if word.equalsIgnoringASCIICase("config"), argument.equalsIgnoringASCIICase("diff") {
                return .success(.configDiff)
            }
            for order in CommandTable.orders
            where ByteString(order.words).equalsIgnoringASCIICase(word) && order.accepts(argument) {
                return .success(.order(order, argument: argument))
            }
            return .failure(.init(.invalidCommand(text)))
        case .set(let key, let value):
            return .success(FakeParameter.named(key) == nil ? .set(key: key, value: value) : .ignoreParameter)
        case .tooLong:
            return startsAsSelect(text) ? select(text, declared) : .failure(.init(.badArguments))
        case .invalid:
            if startsAsSelect(text) { return select(text, declared) }
            return timed(text).map { .success($0) } ?? .failure(.init(.invalidCommand(text)))
        }
    }

    /// `COMMAND [argument] TIMEOUT n`: seconds, or a time in quotes with its unit.
    private static func timed(_ text: ByteString) -> Command? {
        guard text.count <= Limits.courtesyBytes, var tokens = try? SQLLexer.tokens(of: text).dropLast()
        else {
            return nil
        }
        if tokens.last?.kind == .symbol(.semicolon) { tokens = tokens.dropLast() }
        guard tokens.count == 3 || tokens.count == 4, tokens[tokens.count - 2].isWord("timeout"),
            case .word(let word) = tokens[0].kind
        else { return nil }
        let span: TimeSpan?
        switch tokens[tokens.count - 1].kind {
        case .number(let number), .string(let number): span = TimeSpan(setting: number)
        case .word, .quoted, .parameter, .symbol, .end: span = nil
        }
        var argument: ByteString = ""
        if tokens.count == 4 {
            switch tokens[1].kind {
            case .word(let name), .quoted(let name): argument = name
            case .number, .string, .parameter, .symbol, .end: return nil
            }
        }
        guard let span, argument.count <= Limits.argumentBytes else { return nil }
        for order in CommandTable.orders
        where order.takesTimeout && ByteString(order.words).equalsIgnoringASCIICase(word)
            && order.accepts(argument)
        {
            return .order(order, argument: argument, timeout: span)
        }
        return nil
    }

    private static func startsAsSelect(_ text: ByteString) -> Bool {
        SQLLexer.firstWord(of: text) == "select"
    }

    private static func select(_ text: ByteString, _ declared: [SQLType?]?) -> Result<Command, ConsoleError> {
        do throws(SelectError) {
            let statement = try SelectParser.read(
                text, declared: declared ?? [], allowsParameters: declared != nil)
            return .success(.select(statement))
        } catch {
            return .failure(error.error(in: text))
        }
    }

    private static func show(_ name: ByteString) -> Command? {
        if let parameter = FakeParameter.named(name) { return .showParameter(parameter) }
        let words = ByteString("SHOW ").appending(name)
        for show in CommandTable.shows where ByteString(show.words).equalsIgnoringASCIICase(words) {
            return .show(show)
        }
        for order in CommandTable.orders where ByteString(order.words).equalsIgnoringASCIICase(words) {
            return .order(order, argument: "")
        }
        return nil
    }

    /// The columns of its result; `nil` when it has none.
    var headers: [ColumnHeader]? {
        switch self {
        case .show(let show): show.headers
        case .showParameter(let parameter):
            [ColumnHeader(name: parameter.name, type: .text, doc: "Always the same")]
        case .select(let select): select.headers
        case .configDiff: ConfigDiff.headers
        case .ignoreParameter, .set, .order, .courtesy: nil
        }
    }

    var audience: Audience {
        switch self {
        case .show, .showParameter, .ignoreParameter, .select, .courtesy: .everybody
        case .set, .configDiff: .admins
        case .order(let order, _, _): order.audience
        }
    }
}

/// A refusal, for `Result`.
struct ConsoleError: Error, Equatable {
    let refusal: Refusal
    /// The character of the text it is about, from 1.
    let position: Int?

    init(_ refusal: Refusal, position: Int? = nil) {
        self.refusal = refusal
        self.position = position
    }
}

/// Settings that drivers ask for or set on every connection, whatever it leads to.
struct FakeParameter: Equatable, Sendable {
    let name: String
    let value: ByteString

    static let all = [
        FakeParameter(name: "client_encoding", value: "UTF-8"),
        FakeParameter(name: "default_transaction_isolation", value: "read committed"),
        FakeParameter(name: "standard_conforming_strings", value: "on"),
        FakeParameter(name: "datestyle", value: "ISO"),
        FakeParameter(name: "timezone", value: "GMT"),
        FakeParameter(name: "extra_float_digits", value: "2"),
        FakeParameter(name: "application_name", value: ""),
        FakeParameter(name: "search_path", value: "public"),
        FakeParameter(name: "statement_timeout", value: "0"),
        FakeParameter(name: "lock_timeout", value: "0"),
        FakeParameter(name: "idle_in_transaction_session_timeout", value: "0"),
        FakeParameter(name: "transaction_read_only", value: "off"),
        FakeParameter(name: "default_transaction_read_only", value: "off"),
        FakeParameter(name: "transaction_isolation", value: "read committed"),
        FakeParameter(name: "in_hot_standby", value: "off"),
        FakeParameter(name: "client_min_messages", value: "notice"),
        FakeParameter(name: "bytea_output", value: "hex"),
        FakeParameter(name: "intervalstyle", value: "postgres"),
        FakeParameter(name: "integer_datetimes", value: "on"),
        FakeParameter(name: "server_encoding", value: "UTF8"),
        FakeParameter(name: "max_identifier_length", value: "63"),
    ]

    static func named(_ name: ByteString) -> FakeParameter? {
        all.first { ByteString($0.name).equalsIgnoringASCIICase(name) }
    }
}
