import Config
import Session
import Testing

@Suite struct PoolModeTests {
    @Test func everyModeAnswersEveryQuestion() {
        let answers = [PoolMode.session, .transaction, .statement].map {
            [
                $0.releasesBetweenTransactions, $0.allowsTransactionBlocks, $0.tracksStatements,
                $0.resets(always: false),
            ]
        }
        #expect(
            answers == [
                [false, true, false, true], [true, true, true, false], [true, false, true, false],
            ])
        #expect(PoolMode.transaction.resets(always: true))
    }
}
