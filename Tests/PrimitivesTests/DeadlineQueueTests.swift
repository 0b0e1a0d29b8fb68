import Primitives
import Testing

@Suite struct DeadlineQueueTests {
    @Test func nothingIsDueBeforeItsTime() {
        var queue = DeadlineQueue<Int>()
        queue.add(1, at: Instant(nanoseconds: 100))
        let early = queue.takeDue(Instant(nanoseconds: 99))
        #expect(early == nil)
        let due = queue.takeDue(Instant(nanoseconds: 100))
        #expect(due?.owner == 1)
        let (next, count) = (queue.next, queue.count)
        #expect(next == nil)
        #expect(count == 0)
    }

    @Test func soonestFirstAndFirstComeFirstOfEqualOnes() {
        var queue = DeadlineQueue<Int>()
        var random = Random(seed: 9)
        var model: [(at: UInt64, owner: Int)] = []
        for owner in 0..<500 {
            let at = UInt64(random.below(40))
            queue.add(owner, at: Instant(nanoseconds: at))
            model.append((at, owner))
        }
        let expected = model.sorted { ($0.at, $0.owner) < ($1.at, $1.owner) }
        for entry in expected {
            let next = queue.next
            #expect(next == Instant(nanoseconds: entry.at))
            let taken = queue.takeDue(.never)
            #expect(taken?.owner == entry.owner)
        }
    }
}
