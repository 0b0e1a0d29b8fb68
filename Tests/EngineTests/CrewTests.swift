import Auth
import Config
import Primitives
import Session
import Testing

@testable import Engine

enum InstanceSecretMaker {
    static func make(_ entropy: inout any Entropy) -> InstanceSecret { .random(&entropy) }
}

@Suite struct CrewTests {
    private func check(_ plan: CrewPlan, sourceLocation: SourceLocation = #_sourceLocation) -> CrewWorld {
        let world = CrewWorld(plan)
        world.run()
        if world.problems.isEmpty { world.finish() }
        #expect(world.problems == [], "seed \(plan.seed)", sourceLocation: sourceLocation)
        return world
    }

    @Test(arguments: [2, 3, 8], [1, 2, 3, 4] as [UInt64])
    func everybodyIsServedInOrderWithinTheLimits(workers: Int, seed: UInt64) {
        var plan = CrewPlan(workers: workers, seed: seed)
        plan.clients = 24
        let world = check(plan)
        #expect(world.served == plan.clients * plan.rounds)
        #expect(world.refused == [])
        #expect(world.worstOvertaking <= world.overtakingBound)
    }

    /// Two databases and two users under shared limits, so that pools must make room for each other.
    @Test(arguments: [2, 3], [11, 12, 13, 14] as [UInt64])
    func sharedLimitsHoldOverAllWorkers(workers: Int, seed: UInt64) {
        var plan = CrewPlan(workers: workers, seed: seed)
        plan.databases = ["one", "two"]
        plan.users = ["u", "v"]
        plan.clients = 20
        plan.thinkMicroseconds = 3000
        plan.configure = {
            $0.maxDbConnections = 3
            $0.maxUserConnections = 4
        }
        let world = check(plan)
        #expect(world.served == plan.clients * plan.rounds)
    }

    @Test(arguments: [2, 3, 8], [21, 22, 23, 24, 25, 26] as [UInt64])
    func mishapsAndOrdersLeaveNothingBehind(workers: Int, seed: UInt64) {
        var plan = CrewPlan(workers: workers, seed: seed)
        plan.databases = ["one", "two"]
        plan.clients = 16
        plan.rounds = 30
        plan.letterMicroseconds = seed % 2 == 0 ? 3000 : 200
        plan.mishaps = 30
        plan.orders = 8
        let world = check(plan)
        #expect(world.served >= plan.clients)
    }

    @Test(arguments: [2, 8], [31, 32] as [UInt64])
    func aPoolOfOneServesAllWorkers(workers: Int, seed: UInt64) {
        var plan = CrewPlan(workers: workers, seed: seed)
        plan.clients = 10
        plan.configure = { $0.defaultPoolSize = 1 }
        let world = check(plan)
        #expect(world.worstOvertaking <= world.overtakingBound)
    }

    /// Servers idle at the keeper, and all the load at a mate: they go there and stay.
    @Test func idleServersGoWhereTheLoadIs() {
        var plan = CrewPlan(workers: 2, seed: 41)
        plan.clients = 8
        plan.rounds = 200
        plan.place = { _ in 1 }
        plan.configure = { $0.minPoolSize = 4 }
        let world = check(plan)
        #expect(world.opened == 4)
        #expect(world.parcels <= 6)
        #expect(world.lettersPosted < 200)
    }

    /// Both workers have work for all their servers: nothing is to be said.
    @Test func aWarmPoolNeedsNoLetters() {
        var plan = CrewPlan(workers: 2, seed: 42)
        plan.clients = 8
        plan.rounds = 400
        plan.configure = { $0.defaultPoolSize = 8 }
        let world = check(plan)
        #expect(world.opened <= 8)
        #expect(world.lettersPosted < 150, "\(world.lettersPosted)")
    }

    @Test(arguments: [2, 3]) func limitsOnClientsHoldOverAllWorkers(workers: Int) {
        var plan = CrewPlan(workers: workers, seed: 51)
        plan.users = ["u", "v"]
        plan.clients = 12
        plan.rounds = 1_000_000
        plan.configure = {
            $0.maxClientConn = 7
            $0.maxUserClientConnections = 4
        }
        let world = CrewWorld(plan)
        var most = 0
        for _ in 0..<400 {
            world.pass(.microseconds(500))
            most = max(most, world.clients.count { $0.isIn })
            for user in plan.users { #expect(world.clients.count { $0.isIn && $0.user == user } <= 4) }
        }
        #expect(most == 7)
        #expect(world.refused.contains("Mno more connections allowed (max_client_conn)"))
        #expect(world.refused.contains { $0.contains("max_user_client_connections") })
        world.finish()
        #expect(world.problems == [])
    }
}
