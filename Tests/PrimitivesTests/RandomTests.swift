import Primitives
import Testing

@Suite struct RandomTests {
    @Test func theSameSeedGivesTheSameRun() {
        var a = Random(seed: 7)
        var b = Random(seed: 7)
        var c = Random(seed: 8)
        let run = (0..<20).map { _ in a.next() }
        #expect(run == (0..<20).map { _ in b.next() })
        #expect(run != (0..<20).map { _ in c.next() })
    }

    /// SplitMix64's published first outputs for seed 0.
    @Test func isSplitMix64() {
        var random = Random(seed: 0)
        #expect(random.next() == 0xE220_A839_7B1D_CDAF)
        #expect(random.next() == 0x6E78_9E6A_A1B9_65F4)
    }

    @Test(arguments: [(-3, 0...0), (0, 0...0), (1, 0...0), (2, 0...1), (1000, 0...999)])
    func staysBelowItsBound(_ bound: Int, _ range: ClosedRange<Int>) {
        var random = Random(seed: 1)
        for _ in 0..<1000 { #expect(range.contains(random.below(bound))) }
    }

    @Test func givesAsManyBytesAsAskedFor() {
        var random = Random(seed: 1)
        #expect(random.bytes(0).isEmpty)
        #expect(random.bytes(-1).isEmpty)
        #expect(random.bytes(33).count == 33)
    }
}
