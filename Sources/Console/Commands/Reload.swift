import Engine
import Primitives

struct Reload: OrderCommand {
    static let words = "RELOAD"
    static let doc = "Reads the configuration again; nothing changes when something is wrong with it."

    static func accepts(_ argument: ByteString) -> Bool { argument.isEmpty }

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        call.log("RELOAD", on: &switchboard, into: &actions)
        actions.append(.reload(call.client))
        return .waits(.reload)
    }
}
