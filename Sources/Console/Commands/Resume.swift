import Engine
import Primitives
import Session

struct Resume: OrderCommand {
    static let words = "RESUME"
    static let usage = "[db]"
    static let doc = "Lifts PAUSE or KILL; without a name that of everything, and what KILL has paused."

    static func run(_ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList)
        -> Outcome
    {
        call.log("RESUME", on: &switchboard, into: &actions)
        if call.argument.isEmpty { return all(&call, on: &switchboard, into: &actions) }
        // Not `Call.database`: the console's own database is never paused, and that is the answer.
        guard
            let database = switchboard.consoleFinds(
                call.argument, registering: false, now: call.now, into: &actions)
        else { return .failed(.noSuchDatabase(call.argument)) }
        guard switchboard.databases[database].isPaused else {
            return .failed(
                ByteString("database ").appending(call.argument).appending(" is not paused"))
        }
        lift(database, &call, on: &switchboard, into: &actions)
        return .done("RESUME")
    }

    private static func all(
        _ call: inout Call, on switchboard: inout Switchboard, into actions: inout ActionList
    ) -> Outcome {
        if switchboard.shutdown != .none { return .failed("pooler is shutting down") }
        // In the order of the databases: a set has another one in every process.
        let killed = switchboard.databaseIDs.filter {
            call.memory.killed.contains($0) && switchboard.databases[$0].isPaused
        }
        if switchboard.mode == .active, killed.isEmpty, !call.memory.killedAll {
            return .failed("pooler is not paused/suspended")
        }
        for database in killed { lift(database, &call, on: &switchboard, into: &actions) }
        call.memory = Memory()
        if switchboard.mode != .active {
            switchboard.resume(nil, now: call.now, into: &actions)
            switchboard.giveUp(.pause(nil))
            switchboard.giveUp(.suspend)
        }
        return .done("RESUME")
    }

    private static func lift(
        _ database: DatabaseID, _ call: inout Call, on switchboard: inout Switchboard,
        into actions: inout ActionList
    ) {
        call.memory.killed.remove(database)
        if call.memory.killed.isEmpty { call.memory.killedAll = false }
        switchboard.resume(database, now: call.now, into: &actions)
        switchboard.giveUp(.pause(database))
    }
}
