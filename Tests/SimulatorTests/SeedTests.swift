import Glibc
import Simulator
import Testing

/// Seeds find nothing, and are the same twice.
struct SeedTests {
    /// `bin/coverage` asks for more than these few.
    @Test func aFewSeedsFindNothing() {
        let wanted = getenv("PGLIDO_SEEDS").flatMap { UInt64(String(cString: $0)) } ?? 20
        for seed in 1...max(1, wanted) {
            let world = World(Scenario.make(seed: seed))
            world.run(until: 4000)
            #expect(world.verdict.finding == nil, "seed \(seed): \(world.verdict.finding ?? "")")
        }
    }

    @Test func aSeedIsTheSameTwice() {
        let hashes = (0..<2).map { _ in
            let world = World(Scenario.make(seed: 77))
            world.run(until: 4000)
            return world.verdict.hash
        }
        #expect(hashes[0] == hashes[1])
    }

    @Test func aRunSurvivesItsFile() throws {
        for seed in UInt64(1)...10 {
            let world = World(Scenario.make(seed: seed))
            world.run(until: 1000)
            let text = world.played.text
            let read = try #require(Scenario(text: text))
            #expect(read.text == text)
            let replay = World(read)
            replay.run(until: 1000)
            #expect(replay.verdict.hash == world.verdict.hash, "seed \(seed)")
        }
    }
}
