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

    /// SUSPEND is answered when every worker stands still, and then nothing moves; RESUME loses nothing.
    @Test(arguments: [2, 3, 8], [61, 62, 63] as [UInt64])
    func suspendHoldsEveryWorker(workers: Int, seed: UInt64) throws {
        var plan = CrewPlan(workers: workers, seed: seed)
        plan.rounds = 80
        plan.configure = { $0.defaultPoolSize = 6 }
        let world = CrewWorld(plan)
        world.pass(.milliseconds(25))
        for _ in 0..<3 {
            let before = world.served
            let console = try #require(world.nodes[0].board.clientIDs.first)
            world.tell(0) { $0.suspend(for: console, now: $1, into: &$2) }
            #expect(world.nodes[0].board.takeConsoleNews().isEmpty)
            world.pass(.milliseconds(2))
            #expect(world.nodes[0].board.takeConsoleNews().map(\.wait) == [.suspend])
            let during = world.served
            world.pass(.milliseconds(400))
            #expect(world.served == during)
            #expect(world.nodes.allSatisfy { $0.board.mode == .suspended })
            world.tell(0) { $0.resume(nil, now: $1, into: &$2) }
            world.pass(.milliseconds(20))
            #expect(world.served > during && during >= before)
        }
        world.run()
        world.finish()
        #expect(world.problems == [])
    }

    /// RELOAD is answered when the new configuration is in force everywhere.
    @Test(arguments: [2, 8]) func reloadIsAnsweredWhenAllHaveIt(workers: Int) throws {
        var plan = CrewPlan(workers: workers, seed: 71)
        plan.rounds = 1_000_000
        plan.letterMicroseconds = 5000
        let world = CrewWorld(plan)
        world.pass(.milliseconds(100))
        for round in 1...20 {
            let console = try #require(world.nodes[0].board.clientIDs.first)
            var global = GlobalSettings()
            global.authType = .trust
            global.defaultPoolSize = round
            let new = world.nodes[0].board.snapshot.with(global: global)
            world.tell(0) { $0.reloaded(new, for: console, now: $1, into: &$2) }
            var isAnswered = false
            while !isAnswered {
                let isEverywhere = world.nodes.allSatisfy {
                    $0.board.snapshot.global.defaultPoolSize == round
                }
                isAnswered = world.nodes[0].board.takeConsoleNews().contains { $0.wait == .reload }
                if isAnswered { #expect(isEverywhere) }
                world.pass(.microseconds(100))
                try #require(world.now < world.start + .seconds(60))
            }
        }
    }

    /// What only `*` knows is forgotten by all when nobody has used it for long, and made again for whoever asks.
    @Test(arguments: [2, 3, 8]) func unusedDatabasesAreForgottenByAll(workers: Int) throws {
        var plan = CrewPlan(workers: workers, seed: 81)
        plan.isAutomatic = true
        plan.databases = ["x", "y"]
        plan.users = ["u", "v"]
        plan.configure = {
            $0.autodbIdleTimeout = .seconds(2)
            $0.serverIdleTimeout = .seconds(1)
        }
        let world = CrewWorld(plan)
        world.run()
        func isKnown(_ name: ByteString) -> Bool { world.nodes[0].board.database(named: name) != nil }
        func isKnownSomewhere(_ name: ByteString) -> Bool {
            world.nodes.contains { $0.board.database(named: name) != nil }
        }
        // Clients that have nothing to say keep it.
        world.pass(.seconds(6))
        #expect(isKnown("x") && isKnown("y"))
        for index in world.clients.indices where world.clients[index].database == "x" { world.hangUp(index) }
        world.pass(.seconds(4))
        #expect(!isKnownSomewhere("x") && isKnown("y"))
        for index in world.clients.indices where world.clients[index].database == "x" {
            world.comeAgain(index)
        }
        world.run()
        world.finish()
        #expect(world.problems == [])
        world.pass(.seconds(4))
        #expect(!isKnownSomewhere("x") && !isKnownSomewhere("y"))
        #expect(world.nodes.allSatisfy { $0.board.pools.count == 1 })
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
