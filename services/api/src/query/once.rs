//! What has to be known before a question is put, asked once for all questions about the same time and the same observations.

use super::ask::{AskError, rows};
use super::changes::Changes;
use super::observed::Chosen;
use super::period::Window;
use super::reading::Tables;
use super::taken::Taken;
use super::{Counted, Question};
use std::sync::Arc;
use tokio::sync::OnceCell;
use weir_store::Store;

/// It.
pub(crate) struct Once<'a> {
    store: &'a Store,
    tables: &'a Tables,
    observation: Counted,
    /// With the time before.
    time: Window,
    chosen: OnceCell<Arc<Chosen>>,
}

impl<'a> Once<'a> {
    /// Of a question, and of others with its time and observations. Nothing is asked yet.
    pub(crate) fn of(store: &'a Store, question: &'a Question) -> Self {
        let Question { tables, observation, .. } = question;
        let time = Window { from: begin(question), to: question.period.window.to };
        Self { store, tables, observation: *observation, time, chosen: OnceCell::new() }
    }

    /// What changes in the time of a question and in the time before it, and where the records that count were observed then.
    pub(crate) async fn changes(&self, question: &Question) -> Result<Changes, AskError> {
        let behind = Changes::behind(self.store.database(), begin(question), &Taken::of(question));
        let chosen = self.chosen.get_or_try_init(|| self.chosen());
        let (behind, chosen) = tokio::try_join!(rows::<Changes>(self.store, behind), chosen)?;
        let mut changes = behind.into_iter().next().unwrap_or_default();
        changes.chosen = Arc::clone(chosen);
        Ok(changes)
    }

    async fn chosen(&self) -> Result<Arc<Chosen>, AskError> {
        let asked = Chosen::asked(self.store.database(), self.tables, self.time);
        let (Counted::Chosen, Some(asked)) = (self.observation, asked) else {
            return Ok(Arc::default());
        };
        Ok(Arc::new(Chosen::of(rows(self.store, asked).await?)))
    }
}

/// Where the time of a question begins, with the time before it.
fn begin(question: &Question) -> u32 {
    question.detail.previous.unwrap_or(question.period.window).from
}
