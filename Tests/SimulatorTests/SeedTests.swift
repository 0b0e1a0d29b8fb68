import Simulator
import Testing

/// Seeds find nothing, and are the same twice.
struct SeedTests {
    @Test func aHundredSeedsFindNothing() {
        for seed in UInt64(1)...100 {
            let world = World(Scenario.make(seed: seed))
            world.run()
            #expect(world.verdict.finding == nil, "seed \(seed)")
        }
    }
}
