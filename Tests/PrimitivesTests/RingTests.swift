import Primitives
import Testing

@Suite struct RingTests {
    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func agreesWithAnArray(_ seed: UInt64) {
        var random = Random(seed: seed)
        var ring = Ring<Int>(capacity: 1)
        var model: [Int] = []
        for step in 0..<400 {
            switch random.below(10) {
            case 0..<5:
                ring.append(step)
                model.append(step)
            case 5..<7 where !model.isEmpty:
                let first = ring.removeFirst()
                #expect(first == model.removeFirst())
            case 7 where !model.isEmpty:
                let place = random.below(model.count)
                ring.remove(at: place)
                model.remove(at: place)
            case 8 where !model.isEmpty:
                let place = random.below(model.count)
                ring[place] = -step
                model[place] = -step
            case 9 where random.below(20) == 0:
                ring.removeAll()
                model = []
            default: break
            }
            let (count, first, last) = (ring.count, ring.first, ring.last)
            #expect(count == model.count)
            #expect(first == model.first)
            #expect(last == model.last)
            let all = (0..<count).map { ring[$0] }
            #expect(all == model)
        }
    }
}
