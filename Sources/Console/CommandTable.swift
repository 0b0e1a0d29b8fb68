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
    case order(any OrderCommand.Type, argument: ByteString)

    /// Finds the command of a text.
    static func read(_ text: ByteString) -> Result<Command, ConsoleError> {
        switch CommandText(text) {
        case .plain(let word, let argument):
            if word.equalsIgnoringASCIICase("show") || word.equalsIgnoringASCIICase("select") {
                return show(argument).map { .success($0) } ?? .failure(.init(.invalidCommand(text)))
            }
            for order in CommandTable.orders
            where ByteString(order.words).equalsIgnoringASCIICase(word) && order.accepts(argument) {
                return .success(.order(order, argument: argument))
            }
            return .failure(.init(.invalidCommand(text)))
        case .set(let key, let value):
            return .success(FakeParameter.named(key) == nil ? .set(key: key, value: value) : .ignoreParameter)
        case .tooLong:
            return .failure(.init(.badArguments))
        case .invalid:
            return .failure(.init(.invalidCommand(text)))
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
        case .ignoreParameter, .set, .order: nil
        }
    }

    var audience: Audience {
        switch self {
        case .show, .showParameter, .ignoreParameter: .everybody
        case .set: .admins
        case .order(let order, _): order.audience
        }
    }
}

/// A refusal, for `Result`.
struct ConsoleError: Error, Equatable {
    let refusal: Refusal
    init(_ refusal: Refusal) { self.refusal = refusal }
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
    ]

    static func named(_ name: ByteString) -> FakeParameter? {
        all.first { ByteString($0.name).equalsIgnoringASCIICase(name) }
    }
}
