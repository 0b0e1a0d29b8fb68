import Primitives
import Testing

@testable import Pool

/// How many servers a pool opens, case by case.
@Suite struct PoolPlanTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var size = 10
        var minimum = 0
        var reserve = 0
        var opening = 0
        var idle = 0
        var active = 0
        var testing = 0
        var cancelling = 0
        var waiting = 0
        /// Seconds that the first in line has waited.
        var waited = 0
        var upkeep = false
        /// Seconds since the last login failed.
        var failed: Int?
        /// No login has worked yet.
        var isNew = false
        var expected: OpeningPlan

        init(
            _ name: String, size: Int = 10, minimum: Int = 0, reserve: Int = 0, opening: Int = 0,
            idle: Int = 0,
            active: Int = 0, testing: Int = 0, cancelling: Int = 0, waiting: Int = 0, waited: Int = 0,
            upkeep: Bool = false, failed: Int? = nil, isNew: Bool = false, opens: Int, fromReserve: Int = 0,
            askIn seconds: Int? = nil
        ) {
            testDescription = name
            self.size = size
            self.minimum = minimum
            self.reserve = reserve
            self.opening = opening
            self.idle = idle
            self.active = active
            self.testing = testing
            self.cancelling = cancelling
            self.waiting = waiting
            self.waited = waited
            self.upkeep = upkeep
            self.failed = failed
            self.isNew = isNew
            expected = OpeningPlan(
                openings: opens, fromReserve: fromReserve, askAgain: seconds.map { Case.now + .seconds($0) }
            )
        }

        static let now = Instant(nanoseconds: 0) + .seconds(1000)
    }

    static let cases: [Case] = [
        Case("nobody waits", opens: 0),
        Case("one waits", waiting: 1, opens: 1),
        Case("what is coming counts", opening: 1, waiting: 1, opens: 0),
        Case("what is being tested counts", testing: 2, waiting: 2, opens: 0),
        Case("idle ones do not: those in line could not have them", idle: 1, waiting: 1, opens: 1),
        Case("one at first", waiting: 9, isNew: true, opens: 1),
        Case("one at first, under way", opening: 1, waiting: 9, isNew: true, opens: 0),
        Case("four at once when one has worked", waiting: 9, opens: 4),
        Case("the rest of the window", opening: 3, waiting: 9, opens: 1),
        Case("the window is full", opening: 4, waiting: 9, opens: 0),
        Case("no more than the size", active: 9, waiting: 5, opens: 1),
        Case("the size is reached", active: 10, waiting: 5, opens: 0),
        Case("above the size, after a reload", active: 12, waiting: 5, opens: 0),
        Case("cancel requests do not count", active: 9, cancelling: 5, waiting: 1, opens: 1),
        Case("size zero is no limit", size: 0, active: 500, waiting: 2, opens: 2),
        Case("minimum without upkeep", minimum: 3, opens: 0),
        Case("minimum with upkeep", minimum: 3, upkeep: true, opens: 3),
        Case("minimum counts all sessions", minimum: 3, idle: 1, active: 1, upkeep: true, opens: 1),
        Case("minimum reached", minimum: 3, idle: 3, upkeep: true, opens: 0),
        Case("minimum above the size", size: 2, minimum: 5, upkeep: true, opens: 2),
        Case("line and minimum together", minimum: 3, waiting: 1, upkeep: true, opens: 3),
        Case("reserve, too early", reserve: 2, active: 10, waiting: 1, waited: 4, opens: 0, askIn: 1),
        Case(
            "reserve, just in time", reserve: 2, active: 10, waiting: 1, waited: 5, opens: 1,
            fromReserve: 1),
        Case(
            "reserve, for several", reserve: 2, active: 10, waiting: 5, waited: 9, opens: 2,
            fromReserve: 2),
        Case(
            "reserve, partly used", reserve: 2, active: 11, waiting: 5, waited: 9, opens: 1,
            fromReserve: 1),
        Case("reserve, used up", reserve: 2, active: 12, waiting: 5, waited: 9, opens: 0),
        Case(
            "size first, then reserve", reserve: 2, active: 9, waiting: 3, waited: 9, opens: 3,
            fromReserve: 2),
        Case("reserve is not needed", reserve: 2, active: 5, waiting: 1, waited: 9, opens: 1),
        Case("after a failure: wait", waiting: 5, failed: 14, opens: 0, askIn: 1),
        Case("after a failure: one", waiting: 5, failed: 15, opens: 1),
        Case("after a failure: one at a time", opening: 1, waiting: 5, failed: 20, opens: 0),
        Case(
            "after a failure, the minimum waits too", minimum: 2, upkeep: true, failed: 3, opens: 0,
            askIn: 12),
        Case(
            "the sooner of two reasons to ask again", reserve: 1, active: 9, waiting: 3, waited: 1,
            failed: 13,
            opens: 0, askIn: 2),
    ]

    @Test(arguments: cases)
    func plan(_ given: Case) {
        var roster = ServerRoster()
        var lists = ServerLists()
        var slot: UInt32 = 0
        let counts: [(ServerState, Int)] = [
            (.opening, given.opening), (.idle, given.idle), (.active, given.active),
            (.testing, given.testing),
            (.cancelling, given.cancelling),
        ]
        for (state, count) in counts {
            for _ in 0..<count {
                lists.move(ServerID(Handle(slot: slot, generation: 1)), to: state, in: &roster)
                slot += 1
            }
        }
        var pace = OpeningPace()
        if !given.isNew { pace.loginWorked() }
        if let failed = given.failed {
            pace.loginFailed(now: Instant(nanoseconds: 0) + .seconds(1000 - failed))
        }
        let limits = PoolLimits(
            size: given.size, minimum: given.minimum, reserve: given.reserve, reserveTimeout: .seconds(5),
            loginRetry: .seconds(15))
        let plan = limits.plan(
            lists, pace, waiting: given.waiting,
            oldestWait: given.waiting > 0 ? Instant(nanoseconds: 0) + .seconds(1000 - given.waited) : nil,
            upkeep: given.upkeep, now: Case.now)
        #expect(plan == given.expected)
    }

    @Test func aReserveWithoutATimeoutIsNone() {
        var roster = ServerRoster()
        var lists = ServerLists()
        lists.move(ServerID(Handle(slot: 0, generation: 1)), to: .active, in: &roster)
        let limits = PoolLimits(
            size: 1, minimum: 0, reserve: 5, reserveTimeout: .zero, loginRetry: .seconds(15))
        let plan = limits.plan(
            lists, OpeningPace(), waiting: 3, oldestWait: .zero, upkeep: false, now: Case.now)
        #expect(plan == OpeningPlan(openings: 0, fromReserve: 0, askAgain: nil))
    }
}
