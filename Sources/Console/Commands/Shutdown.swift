import Engine
import Primitives
import Session

struct Shutdown: OrderCommand {
    static let words = "SHUTDOWN"
    static let usage = "[WAIT_FOR_SERVERS | WAIT_FOR_CLIENTS] [TIMEOUT n]"
    static let takesTimeout = true
    static let doc =
        "Ends the pooler: at once, or when no server is in use any more, or when the last client has left."

    static func accepts(_ argument: ByteString) -> Bool { mode(argument) != nil }

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        let mode = mode(call.argument) ?? .none
        let line: ByteString
        switch mode {
        case .none: line = "SHUTDOWN command issued"
        case .waitForServers: line = "SHUTDOWN WAIT_FOR_SERVERS command issued"
        case .waitForClients: line = "SHUTDOWN WAIT_FOR_CLIENTS command issued"
        }
        switchboard.consoleLog(.log, call.client, line, into: &actions)
        if mode != .none, call.timeout != nil {
            switchboard.shutDown(mode, for: call.client, now: call.now, into: &actions)
            return .waits(.shutdown)
        }
        return .ends(mode, mode == .none ? nil : "SHUTDOWN")
    }

    /// `nil` for a word that is not one of its arguments.
    private static func mode(_ argument: ByteString) -> ShutdownMode? {
        if argument.isEmpty { return ShutdownMode.none }
        if argument.equalsIgnoringASCIICase("WAIT_FOR_SERVERS") { return .waitForServers }
        if argument.equalsIgnoringASCIICase("WAIT_FOR_CLIENTS") { return .waitForClients }
        return nil
    }
}
