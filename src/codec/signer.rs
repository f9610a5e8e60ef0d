//! Who may sign which document, whatever its form.

use crate::trust::HcRole;

/// 処方箋: 医師 and 歯科医師.
pub(super) const PRESCRIBERS: [HcRole; 2] = [HcRole::MedicalDoctor, HcRole::Dentist];
/// 調剤結果: 薬剤師.
pub(super) const DISPENSERS: [HcRole; 1] = [HcRole::Pharmacist];
