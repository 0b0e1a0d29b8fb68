import Engine
import Primitives
import Session

struct KillClient: OrderCommand {
    static let words = "KILL_CLIENT"
    static let usage = "id"
    static let doc = "Closes one client, by its id in SHOW CLIENTS, and the server that works for it."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        let digits = digits(call.argument)
        guard !digits.isEmpty else { return .failed("invalid client pointer supplied") }
        if call.isKilledElsewhere { return .done("KILL_CLIENT") }
        guard let number = number(call.argument), let client = find(number, in: switchboard) else {
            return .failed("client not found")
        }
        switchboard.kill(client, now: call.now, into: &actions)
        return .done("KILL_CLIENT")
    }

    private static func digits(_ argument: ByteString) -> ArraySlice<UInt8> {
        argument.bytes.prefix { (0x30...0x39).contains($0) }
    }

    /// More digits than a number of ours can have: nobody's.
    static func number(_ argument: ByteString) -> UInt64? {
        UInt64(String(decoding: digits(argument), as: UTF8.self))
    }

    static func find(_ number: UInt64, in switchboard: borrowing Switchboard) -> ClientID? {
        for client in switchboard.clientIDs where switchboard.clients[client].number == number {
            switch switchboard.clients[client].phase {
            case .startup, .authenticating: return nil
            case .awaitingWelcome, .idle, .waiting, .active, .skipping, .replicating, .console,
                .cancelRequest:
                return client
            }
        }
        return nil
    }
}
