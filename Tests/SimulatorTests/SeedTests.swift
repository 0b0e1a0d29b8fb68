import Simulator
import Testing

/// Seeds find nothing, and are the same twice.
struct SeedTests {
    @Test func aFewSeedsFindNothing() {
        for seed in UInt64(1)...30 {
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

    @Test func aScenarioSurvivesItsFile() {
        for seed in UInt64(1)...50 {
            let text = Scenario.make(seed: seed).text
            #expect(Scenario(text: text)?.text == text)
        }
    }
}
